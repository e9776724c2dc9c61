import io.cloudevents.CloudEvent;
import io.cloudevents.core.message.MessageReader;
import io.cloudevents.kafka.KafkaMessageFactory;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRecord;

/**
 * Reads events as the CloudEvents SDK for Java does. Arguments: bootstrap, topic, count.
 * Answers: mode, attributes, data; or error. The SDK's deserializer never sees a record without value (Kafka's
 * consumer answers null for it), so that the message is read instead.
 */
final class EventJudge {
    private EventJudge() {}

    public static void main(String[] arguments) throws Exception {
        int count = Integer.parseInt(arguments[2]);
        for (ConsumerRecord<byte[], byte[]> record : Topic.read(arguments[0], arguments[1], count)) {
            Map<String, Object> line = new LinkedHashMap<>();
            line.put("key", record.key() == null ? null : new String(record.key(), StandardCharsets.UTF_8));
            line.put("tombstone", record.value() == null);
            try {
                MessageReader reader = KafkaMessageFactory.createReader(record);
                CloudEvent event = reader.toEvent();
                line.put("mode", reader.getEncoding().toString());
                Map<String, Object> attributes = new LinkedHashMap<>();
                event.getAttributeNames().forEach(name -> put(attributes, name, event.getAttribute(name)));
                line.put("attributes", attributes);
                Map<String, Object> extensions = new LinkedHashMap<>();
                event.getExtensionNames().forEach(name -> put(extensions, name, event.getExtension(name)));
                line.put("extensions", extensions);
                line.put("data", event.getData() == null
                        ? null : new String(event.getData().toBytes(), StandardCharsets.UTF_8));
            } catch (Exception error) {
                line.put("error", Topic.told(error));
            }
            Topic.answer(line);
        }
    }

    private static void put(Map<String, Object> map, String name, Object value) {
        if (value != null) {
            map.put(name, value.toString());
        }
    }
}
