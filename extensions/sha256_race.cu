// SHA-256 (FIPS 180-4) of 96-byte headers: 64 bytes per miner, then 24 shared bytes and the nonce.
// Compiled by CuPy for a device; the tests compile the same text as C for the CPU.

#ifndef HOST_TEST
#define ROTR(x, n) __funnelshift_r((x), (x), (n))
#else
#define ROTR(x, n) (((x) >> (n)) | ((x) << (32 - (n))))
#endif

typedef unsigned int u32;
typedef unsigned long long u64;

__device__ __constant__ u32 K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

__device__ static void compress(u32 state[8], u32 w[16])
{
    u32 a = state[0], b = state[1], c = state[2], d = state[3];
    u32 e = state[4], f = state[5], g = state[6], h = state[7];
#ifndef HOST_TEST
#pragma unroll
#endif
    for (int i = 0; i < 64; i++) {
        if (i >= 16) {  // the message schedule, in place
            u32 x = w[(i + 1) & 15], y = w[(i + 14) & 15];
            u32 s0 = ROTR(x, 7) ^ ROTR(x, 18) ^ (x >> 3);
            u32 s1 = ROTR(y, 17) ^ ROTR(y, 19) ^ (y >> 10);
            w[i & 15] += s0 + w[(i + 9) & 15] + s1;
        }
        u32 t1 = h + (ROTR(e, 6) ^ ROTR(e, 11) ^ ROTR(e, 25)) + ((e & f) ^ (~e & g)) + K[i] + w[i & 15];
        u32 t2 = (ROTR(a, 2) ^ ROTR(a, 13) ^ ROTR(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
        h = g; g = f; f = e; e = d + t1;
        d = c; c = b; b = a; a = t1 + t2;
    }
    state[0] += a; state[1] += b; state[2] += c; state[3] += d;
    state[4] += e; state[5] += f; state[6] += g; state[7] += h;
}

// The state after each header's first 64 bytes: blocks is (miners, 16), states (miners, 8).
extern "C" __global__ void midstates(const u32 *blocks, int miners, u32 *states)
{
    for (int m = blockIdx.x * blockDim.x + threadIdx.x; m < miners; m += gridDim.x * blockDim.x) {
        u32 w[16], s[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                           0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
        for (int i = 0; i < 16; i++) w[i] = blocks[16 * m + i];
        compress(s, w);
        for (int i = 0; i < 8; i++) states[8 * m + i] = s[i];
    }
}

// The earliest valid attempt among `count` from `begin`, in best; attempts are numbered as in the race.
extern "C" __global__ void attempts(const u32 *states, const u32 *tail, const int *miner, const u64 *offset,
                                    const u64 *weight, u64 size, u64 begin, u64 count, int difficulty,
                                    u64 *best)
{
    u64 stride = (u64)gridDim.x * blockDim.x;
    for (u64 i = (u64)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += stride) {
        u64 attempt = begin + i, done = attempt / size, slot = attempt - done * size;
        if (attempt > *(volatile u64 *)best) return;  // another thread has found an earlier one
        u64 nonce = done * weight[slot] + offset[slot];
        u32 s[8], w[16];
        for (int k = 0; k < 8; k++) s[k] = states[8 * miner[slot] + k];
        for (int k = 0; k < 6; k++) w[k] = tail[k];
        u32 low = (u32)nonce, high = (u32)(nonce >> 32);  // little-endian bytes as big-endian words
        w[6] = (low >> 24) | ((low >> 8) & 0xff00) | ((low << 8) & 0xff0000) | (low << 24);
        w[7] = (high >> 24) | ((high >> 8) & 0xff00) | ((high << 8) & 0xff0000) | (high << 24);
        w[8] = 0x80000000;
        for (int k = 9; k < 15; k++) w[k] = 0;
        w[15] = 96 * 8;
        compress(s, w);
        u64 head = ((u64)s[0] << 32) | s[1];
        if (difficulty == 0 || head >> (64 - 4 * difficulty) == 0) {
            atomicMin(best, attempt);
            return;  // this thread's later attempts cannot be earlier
        }
    }
}
