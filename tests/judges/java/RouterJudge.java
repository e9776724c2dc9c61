import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.debezium.transforms.outbox.EventRouter;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaBuilder;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.header.Header;
import org.apache.kafka.connect.json.JsonConverter;
import org.apache.kafka.connect.source.SourceRecord;
import org.apache.kafka.connect.storage.Converter;
import org.apache.kafka.connect.storage.SimpleHeaderConverter;
import org.apache.kafka.connect.storage.StringConverter;

/**
 * The records that Debezium's outbox event router and Kafka Connect's converters make of rows of an outbox table.
 * One argument, JSON: rows (id, aggregatetype, aggregateid, type, payload), converter, options of the router.
 * Answers: topic, key, value and headers, in base64; or error.
 */
final class RouterJudge {
    private static final Schema ROW = SchemaBuilder.struct().name("shop.public.outbox.Value").optional()
            .field("id", SchemaBuilder.string().name("io.debezium.data.Uuid").version(1).build())
            .field("aggregatetype", Schema.STRING_SCHEMA)
            .field("aggregateid", Schema.STRING_SCHEMA)
            .field("type", Schema.STRING_SCHEMA)
            .field("payload", SchemaBuilder.string().name("io.debezium.data.Json").version(1).optional().build())
            .build();
    private static final Schema SOURCE = SchemaBuilder.struct()
            .name("io.debezium.connector.postgresql.Source")
            .field("table", Schema.STRING_SCHEMA).field("ts_ms", Schema.INT64_SCHEMA).build();
    private static final Schema ENVELOPE = SchemaBuilder.struct().name("shop.public.outbox.Envelope").version(2)
            .field("before", ROW).field("after", ROW).field("source", SOURCE)
            .field("op", Schema.STRING_SCHEMA).field("ts_ms", Schema.OPTIONAL_INT64_SCHEMA).build();

    private RouterJudge() {}

    public static void main(String[] arguments) throws Exception {
        JsonNode question = new ObjectMapper().readTree(arguments[0]);
        Map<String, String> options = new HashMap<>();
        question.get("options").properties().forEach(one -> options.put(one.getKey(), one.getValue().asText()));
        EventRouter<SourceRecord> router = new EventRouter<>();
        router.configure(options);
        Converter keys = converter(question.get("converter").asText(), true);
        Converter values = converter(question.get("converter").asText(), false);
        for (JsonNode row : question.get("rows")) {
            Map<String, Object> line = new LinkedHashMap<>();
            try {
                SourceRecord made = router.apply(inserted(row));
                line.put("topic", made.topic());
                line.put("key", Topic.base64(keys.fromConnectData(made.topic(), made.keySchema(), made.key())));
                line.put("value",
                        Topic.base64(values.fromConnectData(made.topic(), made.valueSchema(), made.value())));
                line.put("headers", headers(made));
            } catch (Exception error) {
                line.put("error", Topic.told(error));
            }
            Topic.answer(line);
        }
    }

    /** The change event that the connector makes of an inserted row. */
    private static SourceRecord inserted(JsonNode row) {
        Struct after = new Struct(ROW);
        ROW.fields().forEach(field -> {
            JsonNode value = row.get(field.name());
            after.put(field, value == null || value.isNull() ? null : value.asText());
        });
        Struct event = new Struct(ENVELOPE).put("after", after).put("op", "c").put("ts_ms", 2L)
                .put("source", new Struct(SOURCE).put("table", "outbox").put("ts_ms", 1L));
        return new SourceRecord(Map.of(), Map.of(), "shop.public.outbox", 0, null, null, ENVELOPE, event);
    }

    private static Converter converter(String name, boolean isKey) {
        Converter converter = name.equals("string") ? new StringConverter() : new JsonConverter();
        converter.configure(Map.of("schemas.enable", String.valueOf(name.equals("json_with_schema"))), isKey);
        return converter;
    }

    private static Map<String, Object> headers(SourceRecord record) {
        SimpleHeaderConverter converter = new SimpleHeaderConverter();
        Map<String, Object> made = new LinkedHashMap<>();
        for (Header header : record.headers()) {
            byte[] bytes = converter.fromConnectHeader(record.topic(), header.key(), header.schema(), header.value());
            made.put(header.key(), bytes == null ? null : new String(bytes, StandardCharsets.UTF_8));
        }
        return made;
    }
}
