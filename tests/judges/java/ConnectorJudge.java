import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.debezium.connector.postgresql.PostgresConnector;
import java.io.PrintStream;
import java.lang.reflect.InvocationHandler;
import java.lang.reflect.Proxy;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.Statement;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.json.JsonConverter;
import org.apache.kafka.connect.source.SourceRecord;
import org.apache.kafka.connect.source.SourceTask;
import org.apache.kafka.connect.source.SourceTaskContext;
import org.apache.kafka.connect.storage.OffsetStorageReader;

/**
 * What Debezium's PostgreSQL connector writes of a database: a worker of Kafka Connect with one task per setting, without Kafka.
 * One argument, a file of JSON: url (JDBC, with user and password), connectors (name: options), statements that run when
 * all of them stream, and how many records are wanted of each.
 * Answers: connector, topic, key and value as JsonConverter writes them with schemas.
 */
final class ConnectorJudge {
    private static final Duration PATIENCE = Duration.ofSeconds(90);
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final PrintStream OUT = new PrintStream(System.out, true, StandardCharsets.UTF_8);

    private ConnectorJudge() {}

    public static void main(String[] arguments) throws Exception {
        JsonNode question = JSON.readTree(Path.of(arguments[0]).toFile());
        Map<String, SourceTask> tasks = new LinkedHashMap<>();
        try (Connection database = DriverManager.getConnection(question.get("url").asText())) {
            for (Map.Entry<String, JsonNode> one : question.get("connectors").properties()) {
                tasks.put(one.getKey(), started(one.getValue()));
            }
            waitUntilAllStream(database, tasks.size());
            for (JsonNode statement : question.get("statements")) {
                try (Statement run = database.createStatement()) {
                    run.execute(statement.asText());
                }
            }
            for (Map.Entry<String, SourceTask> one : tasks.entrySet()) {
                for (SourceRecord record : read(one.getValue(), question.get("records").asInt())) {
                    answer(one.getKey(), record);
                }
            }
        } finally {
            tasks.values().forEach(SourceTask::stop);
        }
        System.exit(0); // threads of a connector outlive it
    }

    private static SourceTask started(JsonNode given) throws Exception {
        Map<String, String> options = new HashMap<>();
        given.properties().forEach(one -> options.put(one.getKey(), one.getValue().asText()));
        options.put("connector.class", PostgresConnector.class.getName());
        PostgresConnector connector = new PostgresConnector();
        connector.start(options);
        Map<String, String> settings = connector.taskConfigs(1).get(0);
        SourceTask task = (SourceTask) connector.taskClass().getDeclaredConstructor().newInstance();
        task.initialize(context(settings));
        task.start(settings);
        return task;
    }

    /** A worker that has never seen the connector before: it knows no offsets, and nothing else is asked of it. */
    private static SourceTaskContext context(Map<String, String> settings) {
        InvocationHandler offsets = (proxy, method, given) -> method.getName().equals("offsets") ? Map.of() : null;
        OffsetStorageReader reader = proxy(OffsetStorageReader.class, offsets);
        return proxy(SourceTaskContext.class, (proxy, method, given) -> switch (method.getName()) {
            case "configs" -> settings;
            case "offsetStorageReader" -> reader;
            default -> null;
        });
    }

    private static <T> T proxy(Class<T> kind, InvocationHandler handler) {
        return kind.cast(Proxy.newProxyInstance(kind.getClassLoader(), new Class<?>[] {kind}, handler));
    }

    /** Until then a connector may take what is written for older than itself. */
    private static void waitUntilAllStream(Connection database, int wanted) throws Exception {
        long deadline = System.nanoTime() + PATIENCE.toNanos();
        String query = "select count(*) from pg_replication_slots where active and database = current_database()";
        for (int streaming = 0; streaming < wanted; Thread.sleep(100)) {
            try (Statement asked = database.createStatement(); ResultSet found = asked.executeQuery(query)) {
                found.next();
                streaming = found.getInt(1);
            }
            if (System.nanoTime() > deadline) {
                throw new IllegalStateException(streaming + " connectors stream, wanted " + wanted);
            }
        }
    }

    private static List<SourceRecord> read(SourceTask task, int count) throws Exception {
        List<SourceRecord> found = new ArrayList<>();
        long deadline = System.nanoTime() + PATIENCE.toNanos();
        while (found.size() < count) {
            List<SourceRecord> polled = task.poll();
            found.addAll(polled == null ? List.of() : polled);
            if (System.nanoTime() > deadline) {
                throw new IllegalStateException(found.size() + " records, wanted " + count);
            }
        }
        return found;
    }

    private static void answer(String connector, SourceRecord record) throws Exception {
        Map<String, Object> line = new LinkedHashMap<>();
        line.put("connector", connector);
        line.put("topic", record.topic());
        line.put("key", json(true, record.topic(), record.keySchema(), record.key()));
        line.put("value", json(false, record.topic(), record.valueSchema(), record.value()));
        OUT.println(JSON.writeValueAsString(line));
    }

    private static String json(boolean isKey, String topic, Schema schema, Object value) {
        JsonConverter converter = new JsonConverter();
        converter.configure(Map.of("schemas.enable", "true"), isKey);
        byte[] bytes = converter.fromConnectData(topic, schema, value);
        return bytes == null ? null : new String(bytes, StandardCharsets.UTF_8);
    }
}
