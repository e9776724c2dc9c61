import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.Future;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Sends the keys of one topic to another of as many partitions, with Java's producer as it comes.
 * Arguments: bootstrap, topic, other topic, count. Answers: key, partition, partition in the other topic.
 */
final class PartitionJudge {
    private PartitionJudge() {}

    public static void main(String[] arguments) throws Exception {
        String bootstrap = arguments[0];
        List<ConsumerRecord<byte[], byte[]>> records =
                Topic.read(bootstrap, arguments[1], Integer.parseInt(arguments[3]));
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        ByteArraySerializer bytes = new ByteArraySerializer();
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(settings, bytes, bytes)) {
            for (ConsumerRecord<byte[], byte[]> record : records) {
                sent.add(producer.send(new ProducerRecord<>(arguments[2], record.key(), record.value())));
            }
        }
        for (int i = 0; i < sent.size(); i++) {
            Map<String, Object> line = new HashMap<>();
            line.put("key", Topic.base64(records.get(i).key()));
            line.put("partition", records.get(i).partition());
            line.put("java", sent.get(i).get().partition());
            Topic.answer(line);
        }
    }
}
