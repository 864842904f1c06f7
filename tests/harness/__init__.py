"""What tests with a worker share: a cluster of their own, worker processes, and librdkafka clients."""
