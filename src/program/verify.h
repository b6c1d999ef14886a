/* The concerns of verification; see weft_program_verify. Threads: any; nothing is kept. */
#ifndef WEFT_PROGRAM_VERIFY_H
#define WEFT_PROGRAM_VERIFY_H

#include "program/index.h"

/* Every index in every array is in range, and lanes are consistent with each other. Nothing else may run before. */
weft_status weft_verify_structure(const weft_program *program, weft_error *error) WEFT_CHECKED;

/* The program can end under rendezvous. */
weft_status weft_verify_progress(const weft_program *program, weft_error *error) WEFT_CHECKED;

/* On every rank, what an action needs is done before it begins, and no slot has two tenants at once. */
weft_status weft_verify_order(const weft_index *index, weft_error *error) WEFT_CHECKED;

/* Gradients overwrite what is old and are added to what is not. Where ranks have several workers: gathered weights are
 * there from UNSHARD to RESHARD for all that reads them, every weight gradient is reduced once, no buffer has two
 * tenants at once, and passes work in the buffers of their stages. */
weft_status weft_verify_shard(const weft_program *program, weft_error *error) WEFT_CHECKED;

/* Buffers lie side by side in their arenas, and slots are on the rank of their stage and written by somebody. */
weft_status weft_verify_buffers(const weft_program *program, weft_error *error) WEFT_CHECKED;

#endif
