/* Verification: the concerns in the order in which they rely on each other. */
#include "program/verify.h"
#include "program/walk.h"

weft_status weft_verify_progress(const weft_program *program, weft_error *error)
{
    weft_walk walk;
    TRY(weft_walk_init(&walk, program, -1, error));
    while (weft_walk_next(&walk)) continue;
    weft_status status = walk.remaining ? weft_walk_explain(&walk, error) : WEFT_OK;
    weft_walk_fini(&walk);
    return status;
}

weft_status weft_program_verify(const weft_program *program, weft_error *error)
{
    weft_index index;
    TRY(weft_verify_structure(program, error));
    TRY(weft_index_init(&index, program, error));
    weft_status status = weft_index_check(&index, error);
    if (status == WEFT_OK) status = weft_index_match(&index, error);
    if (status == WEFT_OK) status = weft_verify_progress(program, error);
    if (status == WEFT_OK) status = weft_verify_buffers(program, error);
    if (status == WEFT_OK) status = weft_verify_order(&index, error);
    if (status == WEFT_OK) status = weft_verify_shard(program, error);
    weft_index_fini(&index);
    return status;
}
