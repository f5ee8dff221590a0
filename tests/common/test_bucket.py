"""Token buckets hold so much, refill steadily, and give nothing to who asks for more than there is."""

from common.bucket import Bucket, Limit


def test_a_bucket_holds_a_burst_and_refills() -> None:
    """The burst can be taken at once, then what flows in; a pause fills it up and no further."""
    bucket = Bucket(Limit(per_s=2, burst=10), 0)
    assert [bucket.take(4, 0), bucket.take(6, 0), bucket.take(1, 0)] == [True, True, False]
    assert [bucket.take(2, 0.9), bucket.take(2, 1.0), bucket.take(1, 1.4)] == [False, True, False]
    assert [bucket.take(11, 1_000), bucket.take(10, 1_000)] == [False, True]
