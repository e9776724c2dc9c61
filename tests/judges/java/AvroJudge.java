import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.avro.Conversions;
import org.apache.avro.LogicalTypes;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericFixed;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.kafka.clients.consumer.ConsumerRecord;

/**
 * Reads Avro behind Confluent's frame (a zero, a schema id in four bytes) with Apache Avro, asking the registry
 * for schemas by id. Arguments: bootstrap, topic, count, URL of the registry, ["keys": they are Avro as well].
 * Answers: key, name of the record, value; or error. Decimals are text, bytes that are nothing else base64.
 */
final class AvroJudge {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final Map<Integer, Schema> SCHEMAS = new HashMap<>();

    private AvroJudge() {}

    public static void main(String[] arguments) throws Exception {
        int count = Integer.parseInt(arguments[2]);
        for (ConsumerRecord<byte[], byte[]> record : Topic.read(arguments[0], arguments[1], count)) {
            Map<String, Object> line = new LinkedHashMap<>();
            try {
                line.put("key", arguments.length > 4
                        ? read(record.key(), arguments[3], line, "keyRecord") : Topic.base64(record.key()));
                if (record.value() == null) {
                    line.put("tombstone", true);
                } else {
                    line.put("value", read(record.value(), arguments[3], line, "record"));
                }
            } catch (Exception error) {
                line.put("error", Topic.told(error));
            }
            Topic.answer(line);
        }
    }

    private static Object read(byte[] bytes, String registry, Map<String, Object> line, String name)
            throws IOException {
        ByteBuffer frame = ByteBuffer.wrap(bytes);
        if (frame.get() != 0) {
            throw new IOException("no zero in front");
        }
        Schema schema = schema(frame.getInt(), registry);
        BinaryDecoder decoder =
                DecoderFactory.get().binaryDecoder(frame.array(), frame.position(), frame.remaining(), null);
        Object datum = new GenericDatumReader<>(schema, schema).read(null, decoder);
        if (!decoder.isEnd()) {
            throw new IOException("bytes left over behind the datum");
        }
        line.put(name, schema.getFullName());
        return value(schema, datum);
    }

    private static Schema schema(int id, String registry) throws IOException {
        Schema known = SCHEMAS.get(id);
        if (known == null) {
            try (InputStream answer = URI.create(registry + "/schemas/ids/" + id).toURL().openStream()) {
                JsonNode body = JSON.readTree(new String(answer.readAllBytes(), StandardCharsets.UTF_8));
                known = new Schema.Parser().parse(body.get("schema").asText());
            }
            SCHEMAS.put(id, known);
        }
        return known;
    }

    private static Object value(Schema schema, Object datum) {
        if (datum instanceof GenericRecord record) {
            Map<String, Object> members = new LinkedHashMap<>();
            for (Schema.Field field : record.getSchema().getFields()) {
                members.put(field.name(), value(field.schema(), record.get(field.pos())));
            }
            return members;
        }
        if (schema.getType() == Schema.Type.UNION) {
            return value(schema.getTypes().get(GenericData.get().resolveUnion(schema, datum)), datum);
        }
        if (datum instanceof List<?> list) {
            List<Object> members = new ArrayList<>();
            list.forEach(member -> members.add(value(schema.getElementType(), member)));
            return members;
        }
        if (datum instanceof Map<?, ?> map) {
            Map<String, Object> members = new LinkedHashMap<>();
            map.forEach((name, member) -> members.put(name.toString(), value(schema.getValueType(), member)));
            return members;
        }
        if (schema.getLogicalType() instanceof LogicalTypes.Decimal decimal) {
            Conversions.DecimalConversion conversion = new Conversions.DecimalConversion();
            return (datum instanceof GenericFixed fixed
                    ? conversion.fromFixed(fixed, schema, decimal)
                    : conversion.fromBytes((ByteBuffer) datum, schema, decimal)).toPlainString();
        }
        if (datum instanceof ByteBuffer buffer) {
            byte[] bytes = new byte[buffer.remaining()];
            buffer.duplicate().get(bytes);
            return Topic.base64(bytes);
        }
        if (datum instanceof GenericFixed fixed) {
            return Topic.base64(fixed.bytes());
        }
        return datum instanceof CharSequence || datum instanceof GenericData.EnumSymbol ? datum.toString() : datum;
    }
}
