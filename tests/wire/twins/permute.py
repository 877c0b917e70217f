"""Plain twins of the permutation and range kernels."""

M64 = 2**64 - 1


def signed(x: int) -> int:
    return x - 2**64 if x >> 63 else x


def scatter(half: int, key: int) -> int:
    x = (half ^ key) * (2**64 - 0x61C8864680B583EB) & M64
    x = (x ^ x >> 32) * (2**64 - 0x4B47D0C55E6A21B7) & M64
    return x ^ x >> 29


def place(value: int, size: int, keys: list[int]) -> int:
    """Where `value` goes in the permutation of range(size)."""
    if not 0 <= value < size:
        return -1
    bits = (size - 1).bit_length()
    right = -(-bits // 2)
    left = bits - right
    while True:
        low, high = value % 2**right, value // 2**right
        for number, key in enumerate(keys):
            if number % 2 == 0:
                low ^= (scatter(high, key % 2**64) >> 31) % 2**right
            else:
                high ^= (scatter(low, key % 2**64) >> 31) % 2**left
        value = high * 2**right + low
        if value < size:
            return value


def expand(first: list[int], count: list[int]) -> list[int]:
    """Every address of the ranges, as 128-bit numbers, in order."""
    return [f + k for f, c in zip(first, count, strict=True) for k in range(c)]
