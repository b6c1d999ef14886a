/*
 * What the emulator is tried on: small pieces of work with right values that are known, each with the mistakes that can
 * be made in it (bugs.def). Kernels are in scenes.cu, hosts in scenes.c.
 */
#ifndef WEFT_TESTS_CUDA_SCENES_H
#define WEFT_TESTS_CUDA_SCENES_H

#include <cuda_runtime_api.h>
#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum bug {
#define BUG(name, scene, eager, lazy, races, text) BUG_##name,
#include "bugs.def"
#undef BUG
    BUGS
} bug;

enum { ROWS = 12, WIDTH = 512, TILES = 3, TILE = 16, TILE_WIDTH = 8, MATRIX_WIDTH = TILES * TILE };

/* logits (ROWS, WIDTH) bf16 become softmax - onehot; a block a row. sum: NULL, or where losses are added as they come.
 */
cudaError_t scene_losses(cudaStream_t stream, bug wrong, uint16_t *logits, const int32_t *targets, float *losses,
                         float *sum);
/* sum[0] = the losses in ascending order; one warp. */
cudaError_t scene_add(cudaStream_t stream, bug wrong, const float *losses, float *sum);
/* out (ROWS, 32): each row of x turned round, by shared memory and by shuffles. */
cudaError_t scene_turn(cudaStream_t stream, bug wrong, const float *x, float *out);
/* d (TILE, TILE_WIDTH) = a (TILE, MATRIX_WIDTH) b (MATRIX_WIDTH, TILE_WIDTH), bf16, a tile at a time; one warp. */
cudaError_t scene_tiles(cudaStream_t stream, bug wrong, const uint16_t *a, const uint16_t *b, float *d);
/* x (32 * 4) += 1, four at a time. */
cudaError_t scene_wide(cudaStream_t stream, bug wrong, float *x);
/* out[i] = by + i for i < count; a block for each. */
cudaError_t scene_count(cudaStream_t stream, bug wrong, int count, float by, float *out);
/* The same where `out` is an address that lies in memory; by 0. */
cudaError_t scene_count_inside(cudaStream_t stream, int count, float *const *out);

#ifdef __cplusplus
}
#endif

#endif
