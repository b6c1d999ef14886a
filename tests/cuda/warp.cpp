/* What the lanes of a warp do together: shuffles, votes, tensor cores; and copies that a thread leaves under way. */
#include "tensor_cores.cuh"

#include "parts.h"

#include <cstring>

extern unsigned char weft_shared[];

namespace emulator
{

static const uint64_t UNDEFINED = 0x7fc0dead7fc0deadu; /* what a lane outside the mask gives */

/* The lane whose value this one gets. */
static int source_of(const fiber &lane, int number)
{
    const int first = number / lane.width * lane.width, at = number - first;
    int from = at;
    if (lane.kind == EMULATOR_SHUFFLE) from = lane.operand & (lane.width - 1);
    if (lane.kind == EMULATOR_XOR) from = at ^ lane.operand;
    return from < 0 || from >= lane.width ? number : first + from;
}

static float half_of(uint32_t pair, unsigned half)
{
    return emulator_bits<float>(half == 1 ? pair & 0xffff0000u : pair << 16);
}

static emulator_mma *mma_of(const fiber *lane)
{
    return (emulator_mma *)(uintptr_t)lane->value;
}

/* Which lane holds what: src/device/cuda/ptx/tensor_cores.cuh. */
static void multiply(fiber **lanes)
{
    float a[16][16], b[16][8];
    for (unsigned l = 0; l < WARP; l++) {
        const emulator_mma *held = mma_of(lanes[l]);
        for (unsigned i = 0; i < 8; i++)
            a[l / 4 + i / 2 % 2 * 8][l % 4 * 2 + i % 2 + i / 4 * 8] = half_of(held->a[i / 2], i % 2);
        for (unsigned i = 0; i < 4; i++) b[l % 4 * 2 + i % 2 + i / 2 * 8][l / 4] = half_of(held->b[i / 2], i % 2);
    }
    for (unsigned l = 0; l < WARP; l++) {
        float *d = mma_of(lanes[l])->d;
        for (unsigned i = 0; i < 4; i++)
            for (unsigned k = 0; k < 16; k++) d[i] += a[l / 4 + i / 2 * 8][k] * b[k][l % 4 * 2 + i % 2];
    }
}

static void check_shared_address(const void *at, size_t bytes, const char *what, const emulator_place &place)
{
    const ptrdiff_t byte = (const unsigned char *)at - weft_shared;
    if (byte < 0 || (size_t)byte + bytes > shared_bytes)
        misuse("%s at %s:%d is given %s", what, place.file, place.line,
               byte < 0 ? "what is no shared memory" : "what lies behind the shared memory of the launch");
    if (byte % 16 != 0) misuse("%s at %s:%d is given byte %td, no multiple of 16", what, place.file, place.line, byte);
}

/* Each lane is seen reading the row that it points to. */
static void load_matrices(fiber **lanes)
{
    uint16_t rows[WARP][8];
    const emulator_ldmatrix *first = (const emulator_ldmatrix *)(uintptr_t)lanes[0]->value;
    for (int l = 0; l < WARP; l++) {
        const void *row = ((const emulator_ldmatrix *)(uintptr_t)lanes[l]->value)->row;
        check_shared_address(row, 16, "ldmatrix", lanes[l]->place);
        logical_enter(lanes[l]->logical);
        seen_reading(row, 16, lanes[l]->called_from);
        logical_enter(scheduler_logical());
        for (int i = 0; i < 8; i++) rows[l][i] = ((const uint16_t *)row)[i];
    }
    for (int l = 0; l < WARP; l++) {
        uint32_t *out = ((const emulator_ldmatrix *)(uintptr_t)lanes[l]->value)->out;
        for (int m = 0; m < 4; m++) {
            const int at = l / 4, pair = l % 4 * 2;
            const uint16_t low = first->transposed ? rows[m * 8 + pair][at] : rows[m * 8 + at][pair];
            const uint16_t high = first->transposed ? rows[m * 8 + pair + 1][at] : rows[m * 8 + at][pair + 1];
            out[m] = (uint32_t)low | (uint32_t)high << 16;
        }
    }
}

/* All lanes of the mask are there, in the same collective. False: some are still to come. */
static bool all_there(fiber **lanes, int number, int lane_count)
{
    const fiber &own = *lanes[number];
    for (int l = 0; l < WARP; l++) {
        if ((own.mask >> l & 1) == 0) continue;
        if (l >= lane_count || lanes[l]->state == fiber_state::ended)
            misuse("the mask %08x at %s:%d names lane %d, which %s", own.mask, own.place.file, own.place.line, l,
                   l >= lane_count ? "the block does not have" : "has ended");
        const fiber &other = *lanes[l];
        if (other.state != fiber_state::in_warp || other.mask != own.mask) return false;
        if (other.kind != own.kind || other.place.line != own.place.line ||
            strcmp(other.place.file, own.place.file) != 0)
            misuse("lanes %d and %d of the mask %08x are in different collectives: %s:%d and %s:%d", number, l,
                   own.mask, own.place.file, own.place.line, other.place.file, other.place.line);
    }
    return true;
}

/* A shuffle orders no memory: only __syncwarp does. */
static const char *gather_tokens(fiber **lanes, unsigned mask)
{
    const char *token = new_token();
    for (int l = 0; l < WARP; l++) {
        if ((mask >> l & 1) == 0) continue;
        logical_enter(lanes[l]->logical);
        tell(token);
    }
    logical_enter(scheduler_logical());
    return token;
}

static uint64_t result_of(fiber **lanes, int number, const uint64_t *values, unsigned votes)
{
    const fiber &own = *lanes[number];
    switch (own.kind) {
    case EMULATOR_BALLOT:
        return votes;
    case EMULATOR_SHUFFLE:
    case EMULATOR_XOR: {
        const int from = source_of(own, number);
        return (own.mask >> from & 1) != 0 ? values[from] : UNDEFINED;
    }
    default:
        return 0;
    }
}

static void complete(fiber **lanes, int number)
{
    const unsigned mask = lanes[number]->mask;
    const emulator_collective kind = lanes[number]->kind;
    uint64_t values[WARP] = {}, results[WARP] = {};
    unsigned votes = 0;
    for (int l = 0; l < WARP; l++) {
        if ((mask >> l & 1) == 0) continue;
        values[l] = lanes[l]->value;
        votes |= (unsigned)(values[l] & 1) << l;
    }
    const char *token = kind == EMULATOR_SYNCWARP ? gather_tokens(lanes, mask) : nullptr;
    if (kind == EMULATOR_MMA_BF16) multiply(lanes);
    if (kind == EMULATOR_LDMATRIX) load_matrices(lanes);
    for (int l = 0; l < WARP; l++)
        if ((mask >> l & 1) != 0) results[l] = result_of(lanes, l, values, votes);
    for (int l = 0; l < WARP; l++) {
        if ((mask >> l & 1) == 0) continue;
        lanes[l]->value = results[l];
        lanes[l]->learns = token;
        lanes[l]->state = fiber_state::runs;
    }
}

bool finish_warp(fiber **lanes, int count)
{
    bool finished = false;
    unsigned looked_at = 0; /* a mask, when its lanes were not all there */
    for (int l = 0; l < count; l++) {
        if (lanes[l]->state != fiber_state::in_warp || lanes[l]->mask == looked_at) continue;
        if (all_there(lanes, l, count)) {
            complete(lanes, l);
            finished = true;
        } else {
            looked_at = lanes[l]->mask;
        }
    }
    return finished;
}

/* ---- copies that are under way ---- */

static void carry_out(const pending_copy &of)
{
    const hidden quiet;
    if (of.filled) memcpy(of.shared, of.global, of.bytes);
    if (!of.filled) memset(of.shared, 0, of.bytes);
}

/* A logical thread that begins where the copy is given; nobody knows of its end who has not waited. */
static void show_copy(fiber *of, const pending_copy &given)
{
    const char *begun = new_token();
    tell(begun);
    logical_enter(of->copier);
    learn(begun);
    seen_writing(given.shared, given.bytes, of->called_from);
    if (given.filled) seen_reading(given.global, given.bytes, of->called_from);
    tell(given.token);
    logical_enter(of->logical);
}

static bool is_early(void)
{
    if (setting().threads == threads_run::random) return draw(2) == 0;
    return setting().threads == threads_run::up;
}

void finish_copies(fiber *of, int groups)
{
    size_t left = 0;
    for (size_t i = 0; i < of->copies.size(); i++) {
        const pending_copy pending = of->copies[i];
        if (groups >= 0 && pending.group >= of->groups - groups) {
            of->copies[left++] = pending;
            continue;
        }
        if (!pending.done) carry_out(pending);
        learn(pending.token);
    }
    of->copies.resize(left);
}

} // namespace emulator

using namespace emulator;

uint64_t emulator_warp(emulator_collective kind, unsigned mask, uint64_t value, int operand, int width,
                       emulator_place place)
{
    fiber *const self = current;
    if (self == nullptr) misuse("a collective of a warp outside of a kernel, at %s:%d", place.file, place.line);
    const unsigned in_block = self->thread.x + blockDim.x * (self->thread.y + blockDim.y * self->thread.z);
    if ((mask >> (in_block % WARP) & 1) == 0)
        misuse("the mask %08x at %s:%d leaves out the lane that calls, %u", mask, place.file, place.line,
               in_block % WARP);
    if (width < 1 || width > WARP || (width & (width - 1)) != 0)
        misuse("a shuffle at %s:%d of width %d, no power of two up to 32", place.file, place.line, width);
    self->state = fiber_state::in_warp;
    self->called_from = __builtin_return_address(0);
    self->place = place;
    self->kind = kind;
    self->mask = mask;
    self->value = value;
    self->operand = operand;
    self->width = width;
    leave_fiber();
    if (kind == EMULATOR_SYNCWARP) learn(self->learns);
    return self->value;
}

void emulator_copy_async(void *shared, const void *global, size_t bytes, bool filled, emulator_place place)
{
    fiber *const self = current;
    if (self == nullptr) misuse("an asynchronous copy outside of a kernel, at %s:%d", place.file, place.line);
    check_shared_address(shared, bytes, "an asynchronous copy", place);
    if ((uintptr_t)global % bytes != 0)
        misuse("an asynchronous copy at %s:%d from %p, no multiple of %zu", place.file, place.line, global, bytes);
    self->called_from = __builtin_return_address(0);
    const pending_copy given = {shared, global, bytes, filled, is_early(), self->groups, new_token()};
    if (self->copier == nullptr) self->copier = logical_create();
    show_copy(self, given);
    if (given.done) carry_out(given);
    const hidden quiet;
    self->copies.push_back(given);
}

void emulator_copy_async_commit(void)
{
    current->groups++;
}

void emulator_copy_async_wait(int groups)
{
    finish_copies(current, groups);
}
