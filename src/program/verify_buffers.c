/* The slot arenas: buffers side by side, slots on their own rank. */
#include "program/verify.h"

#include <stdlib.h>

static int compare_buffers(const void *left, const void *right)
{
    const weft_buffer *a = left, *b = right;
    if (a->rank != b->rank) return a->rank < b->rank ? -1 : 1;
    return a->offset < b->offset ? -1 : a->offset > b->offset;
}

static weft_status check_buffer(const weft_program *program, int32_t number, weft_error *error)
{
    const weft_buffer *buffer = &program->buffers[number];
    if (buffer->rank < 0 || buffer->rank >= program->ranks || (unsigned)buffer->kind >= WEFT_SLOT_KINDS)
        FAIL(error, WEFT_INVALID, "buffer %d is on no rank or of no kind", number);
    size_t arena = program->arena_bytes[buffer->rank], alignment = program->alignment;
    if (!buffer->bytes || buffer->bytes % alignment || buffer->offset % alignment || buffer->bytes > arena ||
        buffer->offset > arena - buffer->bytes)
        FAIL(error, WEFT_INVALID, "buffer %d (%zu bytes at %zu) does not lie in the arena of rank %d (%zu bytes)",
             number, buffer->bytes, buffer->offset, buffer->rank, arena);
    return WEFT_OK;
}

static weft_status check_overlap(const weft_program *program, weft_error *error)
{
    weft_buffer *sorted = NULL;
    size_t count = (size_t)program->buffer_count;
    TRY(weft_allocate(count, sizeof *sorted, &sorted, error));
    for (size_t i = 0; i < count; i++) sorted[i] = program->buffers[i];
    qsort(sorted, count, sizeof *sorted, compare_buffers);
    weft_status status = WEFT_OK;
    for (size_t i = 1; i < count && status == WEFT_OK; i++)
        if (sorted[i].rank == sorted[i - 1].rank && sorted[i - 1].offset + sorted[i - 1].bytes > sorted[i].offset)
            status = weft_fail(error, WEFT_INVALID, "two buffers of rank %d overlap in its arena, at byte %zu",
                               sorted[i].rank, sorted[i].offset);
    weft_free(sorted);
    return status;
}

static weft_status check_slots(const weft_program *program, weft_error *error)
{
    for (int kind = 0; kind < WEFT_SLOT_KINDS; kind++)
        for (int32_t s = 0; s < program->stages; s++)
            for (int32_t m = 0; m < program->microbatches; m++) {
                int32_t buffer = weft_program_slot(program, (weft_slot_kind)kind, s, m);
                bool inside = buffer >= -1 && buffer < program->buffer_count;
                if (!inside || (buffer >= 0 && program->buffers[buffer].rank != program->stage_rank[s]))
                    FAIL(error, WEFT_INVALID,
                         "slot %s of stage %d, micro-batch %d is in buffer %d, which rank %d has not",
                         weft_slot_kind_name((weft_slot_kind)kind), s, m, buffer, program->stage_rank[s]);
            }
    return WEFT_OK;
}

weft_status weft_verify_buffers(const weft_program *program, weft_error *error)
{
    if (!program->slots) return WEFT_OK;
    if (program->buffer_count < 0 || !program->arena_bytes || !program->alignment ||
        (program->buffer_count && !program->buffers))
        FAIL(error, WEFT_INVALID, "the program has slots but no buffers");
    for (int32_t i = 0; i < program->buffer_count; i++) TRY(check_buffer(program, i, error));
    TRY(check_overlap(program, error));
    return check_slots(program, error);
}
