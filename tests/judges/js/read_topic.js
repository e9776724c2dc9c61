// Reads the first records of a topic with kafkajs; a line of JSON each, bytes in base64.
// Arguments: broker, topic, count, [URL of a schema registry: values are then decoded, 64 bit integers as text].
const { Kafka, logLevel } = require("kafkajs");

const PATIENCE_MS = 30000;
const [broker, topic, count, registryUrl] = process.argv.slice(2);

function base64(bytes) {
  return bytes === null || bytes === undefined ? null : bytes.toString("base64");
}

function headersOf(message) {
  const all = Object.entries(message.headers ?? {});
  return Object.fromEntries(
    all.map(([name, value]) => [name, Array.isArray(value) ? value.map(base64) : base64(value)]),
  );
}

async function decoded(registry, value) {
  try {
    return { decoded: await registry.decode(value) };
  } catch (error) {
    return { error: String(error.message ?? error) };
  }
}

async function main() {
  const registry = registryUrl && new (require("@kafkajs/confluent-schema-registry").SchemaRegistry)({ host: registryUrl });
  const kafka = new Kafka({ clientId: "judge", brokers: [broker], logLevel: logLevel.ERROR });
  const consumer = kafka.consumer({ groupId: `judge-${process.pid}-${Date.now()}` });
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  let left = Number(count);
  let done;
  const finished = new Promise((resolve) => { done = resolve; });
  const timer = setTimeout(() => done(false), PATIENCE_MS);
  await consumer.run({
    eachMessage: async ({ partition, message }) => {
      if (left === 0) return;
      const line = {
        partition,
        timestamp: message.timestamp,
        key: base64(message.key),
        value: base64(message.value),
        headers: headersOf(message),
        ...(registry && message.value ? await decoded(registry, message.value) : {}),
      };
      console.log(JSON.stringify(line, (_, value) => (typeof value === "bigint" ? value.toString() : value)));
      left -= 1;
      if (left === 0) done(true);
    },
  });
  const complete = await finished;
  clearTimeout(timer);
  await consumer.disconnect();
  if (!complete) {
    console.error(`${left} of ${count} records of ${topic} did not come within ${PATIENCE_MS} ms`);
    process.exitCode = 1;
  }
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
