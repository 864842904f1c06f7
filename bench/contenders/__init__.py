"""The contenders, in the order in which each round runs them."""

from bench.contenders import flink, kafka_streams, naive, ours, python_peers

ALL = (
    *ours.CONTENDERS,
    *naive.CONTENDERS,
    *kafka_streams.CONTENDERS,
    *flink.CONTENDERS,
    *python_peers.CONTENDERS,
    *python_peers.FLOORS,
)
