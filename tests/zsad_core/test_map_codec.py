"""Maps come back bit for bit, by our reader and by the three lines that the README gives; broken blobs are named."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp
from scipy.ndimage import gaussian_filter

from zsad_core.map_codec import decode, dequantise, encode, pack_mask, quantise, unpack_mask

shapes = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9)


@settings(max_examples=100, deadline=None)
@given(hnp.arrays(np.uint16, shapes))
def test_any_codes_come_back(codes):
    assert np.array_equal(decode(encode(codes), *codes.shape), codes)


def test_blob_is_second_differences_modulo_65536_low_bytes_first():
    blob = encode(np.array([[5, 7], [4, 65535]], np.uint16))
    content = pa.decompress(blob, decompressed_size=8, codec="zstd", asbytes=True)
    # Down: 5 7 | 4-10 65535-14; then along: 5 7-10 | -6 65521+12.
    second = np.array([5, -3, -6, 65533]) + 128 & 65535
    assert content == bytes([*(second & 255), *(second >> 8)])


def test_plain_pyarrow_and_cumulative_sums_decode():
    codes = np.random.default_rng(0).integers(0, 65536, (37, 21)).astype(np.uint16)
    content = pa.Codec("zstd").decompress(encode(codes), decompressed_size=2 * 37 * 21)
    low, high = np.frombuffer(content, "u1").reshape(2, 37, 21).astype("u2")
    sums = low + 256 * high - 128
    for axis in (0, 0, 1, 1):
        sums = sums.cumsum(axis, dtype="u2")
    assert np.array_equal(sums, codes)


def test_transposed_codes_are_encoded_as_they_look():
    codes = np.arange(12, dtype=np.uint16).reshape(3, 4).T
    assert np.array_equal(decode(encode(codes), 4, 3), codes)


def test_smooth_map_takes_less_than_a_quarter():
    noise = gaussian_filter(np.random.default_rng(0).standard_normal((518, 518)), 16)
    probability = 0.02 + 0.3 * (noise - noise.min()) / np.ptp(noise)
    assert len(encode(quantise(probability))) < 2 * 518 * 518 / 4


def test_codes_are_rounded_and_dequantised_within_half_a_step():
    p = np.random.default_rng(0).uniform(size=(2, 50, 50)).astype(np.float32)
    codes = quantise(p)
    assert codes.dtype == np.uint16 and codes.shape == p.shape
    assert np.array_equal(codes, [[[round(65535 * float(v)) for v in row] for row in image] for image in p])
    assert np.abs(dequantise(codes) - p).max() <= 0.5 / 65535 + 1e-12
    assert np.array_equal(quantise(dequantise(np.arange(65536, dtype=np.uint16))), np.arange(65536))


def test_float32_rounding_above_one_is_forgiven():
    assert quantise(np.array([[np.nextafter(np.float32(1), np.float32(2)), -1e-9]], np.float32)).tolist() == [
        [65535, 0]
    ]


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.01, 1.01])
def test_values_that_are_no_probability_raise(value):
    with pytest.raises(ValueError, match="outside"):
        quantise(np.array([[0.5, value]]))


@pytest.mark.parametrize("codes", [np.zeros((2, 2)), np.zeros(4, np.uint16)])
def test_only_uint16_maps_are_encoded(codes):
    with pytest.raises(ValueError, match="uint16"):
        encode(codes)


BLOB = encode(np.arange(400, dtype=np.uint16).reshape(20, 20) ** 2)


@pytest.mark.parametrize("blob", [BLOB[:-3], BLOB + b"more", b"", b"nonsense", encode(np.zeros((20, 19), np.uint16))])
def test_blobs_that_are_no_such_map_raise(blob):
    with pytest.raises(ValueError, match="20 x 20"):
        decode(blob, 20, 20)


@settings(max_examples=50, deadline=None)
@given(hnp.arrays(np.bool_, shapes))
def test_masks_come_back(mask):
    packed = pack_mask(mask)
    assert np.array_equal(unpack_mask(packed, *mask.shape), mask)
    assert packed == np.packbits(mask).tobytes()


def test_masks_of_another_size_or_type_raise():
    with pytest.raises(ValueError, match="2 bytes of packed bits, not 3"):
        unpack_mask(b"abc", 3, 5)
    with pytest.raises(ValueError, match="bool"):
        pack_mask(np.zeros((3, 5), np.uint8))


@pytest.mark.parametrize("sides", [(0, 5), (-4, -5), (2**31 - 1, 2**31 - 1), (60_000, 60_000), (None, 5)])
def test_sides_that_no_map_has_raise(sides):
    with pytest.raises(ValueError, match="pixels are read|none of its sides"):
        decode(BLOB, *sides)
    with pytest.raises(ValueError, match="pixels are read|none of its sides"):
        unpack_mask(b"abc", *sides)


def test_no_map_at_all_raises():
    for read in (decode, unpack_mask):
        with pytest.raises(ValueError, match="no map"):
            read(None, 4, 5)


def test_a_blob_that_holds_more_than_the_map_raises():
    with pytest.raises(ValueError, match="3 x 4"):
        decode(pa.compress(bytes(10_000_000), codec="zstd", asbytes=True), 3, 4)
