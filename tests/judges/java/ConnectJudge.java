import java.math.BigDecimal;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.connect.data.Field;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaAndValue;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.json.JsonConverter;
import org.apache.kafka.connect.sink.SinkRecord;
import org.apache.kafka.connect.transforms.Transformation;

/**
 * What a sink connector gets: JsonConverter, then a transformation if one is named.
 * Arguments: bootstrap, topic, count, schemas of key and value enabled (true or false each), [class, option=value...].
 * Answers: key, value, headers after it, each value with its schema; "dropped" or "error" otherwise.
 */
final class ConnectJudge {
    private ConnectJudge() {}

    public static void main(String[] arguments) throws Exception {
        JsonConverter keys = converter(arguments[3], true);
        JsonConverter values = converter(arguments[4], false);
        Transformation<SinkRecord> transformation = arguments.length > 5 ? transformation(arguments) : null;
        int count = Integer.parseInt(arguments[2]);
        for (ConsumerRecord<byte[], byte[]> record : Topic.read(arguments[0], arguments[1], count)) {
            Map<String, Object> line = new LinkedHashMap<>();
            try {
                SinkRecord read = sinkRecord(record, keys, values);
                SinkRecord made = transformation == null ? read : transformation.apply(read);
                if (made == null) {
                    line.put("dropped", true);
                } else {
                    describe(made, line);
                }
            } catch (Exception error) {
                line.put("error", Topic.told(error));
            }
            Topic.answer(line);
        }
    }

    private static JsonConverter converter(String schemas, boolean isKey) {
        JsonConverter converter = new JsonConverter();
        converter.configure(Map.of("schemas.enable", schemas), isKey);
        return converter;
    }

    @SuppressWarnings("unchecked")
    private static Transformation<SinkRecord> transformation(String[] arguments) throws Exception {
        Object made = Class.forName(arguments[5]).getDeclaredConstructor().newInstance();
        Map<String, String> options = new HashMap<>();
        for (int i = 6; i < arguments.length; i++) {
            String[] option = arguments[i].split("=", 2);
            options.put(option[0], option[1]);
        }
        Transformation<SinkRecord> transformation = (Transformation<SinkRecord>) made;
        transformation.configure(options);
        return transformation;
    }

    private static SinkRecord sinkRecord(
            ConsumerRecord<byte[], byte[]> record, JsonConverter keys, JsonConverter values) {
        SchemaAndValue key = keys.toConnectData(record.topic(), record.key());
        SchemaAndValue value = values.toConnectData(record.topic(), record.value());
        SinkRecord made = new SinkRecord(record.topic(), record.partition(), key.schema(), key.value(),
                value.schema(), value.value(), record.offset(), record.timestamp(), TimestampType.CREATE_TIME);
        for (Header header : record.headers()) {
            made.headers().addBytes(header.key(), header.value());
        }
        return made;
    }

    private static void describe(SinkRecord record, Map<String, Object> line) {
        line.put("topic", record.topic());
        line.put("keySchema", schema(record.keySchema()));
        line.put("key", value(record.keySchema(), record.key()));
        line.put("schema", schema(record.valueSchema()));
        line.put("value", value(record.valueSchema(), record.value()));
        Map<String, Object> headers = new LinkedHashMap<>();
        record.headers().forEach(header -> headers.put(header.key(), value(header.schema(), header.value())));
        line.put("headers", headers);
    }

    /** A schema: its name and fields, or its type with `?` where it is optional and its name behind it. */
    private static Object schema(Schema schema) {
        if (schema == null) {
            return null;
        }
        if (schema.type() != Schema.Type.STRUCT) {
            return schema.type().getName() + (schema.isOptional() ? "?" : "")
                    + (schema.name() == null ? "" : " " + schema.name())
                    + (schema.parameters() == null ? "" : " " + new java.util.TreeMap<>(schema.parameters()));
        }
        Map<String, Object> fields = new LinkedHashMap<>();
        for (Field field : schema.fields()) {
            fields.put(field.name(), schema(field.schema()));
        }
        Map<String, Object> made = new LinkedHashMap<>();
        made.put("name", schema.name());
        made.put("version", schema.version());
        made.put("optional", schema.isOptional());
        made.put("fields", fields);
        return made;
    }

    /** A value: decimals as their text, bytes in base64. */
    private static Object value(Schema schema, Object value) {
        if (value instanceof Struct struct) {
            Map<String, Object> members = new LinkedHashMap<>();
            for (Field field : struct.schema().fields()) {
                members.put(field.name(), value(field.schema(), struct.get(field)));
            }
            return members;
        }
        if (value instanceof Map<?, ?> map) {
            Map<String, Object> members = new LinkedHashMap<>();
            map.forEach((name, member) -> members.put(String.valueOf(name), value(null, member)));
            return members;
        }
        if (value instanceof List<?> list) {
            List<Object> members = new ArrayList<>();
            list.forEach(member -> members.add(value(null, member)));
            return members;
        }
        if (value instanceof BigDecimal decimal) {
            return decimal.toPlainString();
        }
        if (value instanceof ByteBuffer buffer) {
            byte[] bytes = new byte[buffer.remaining()];
            buffer.duplicate().get(bytes);
            return Topic.base64(bytes);
        }
        return value instanceof byte[] bytes ? Topic.base64(bytes) : value;
    }
}
