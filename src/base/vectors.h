/*
 * Sets of vector instructions. Some loops are compiled once for each (vector_sets in base/meson.build), and the best
 * that the processor runs is chosen when the program runs.
 *
 * Threads: any.
 */
#ifndef WEFT_BASE_VECTORS_H
#define WEFT_BASE_VECTORS_H

/* Narrow ones first. AVX2 is with FMA, AVX-512 with F, BW, VL and DQ; processors of other families run the first alone.
 */
typedef enum weft_vectors { WEFT_VECTORS_PLAIN, WEFT_VECTORS_AVX2, WEFT_VECTORS_AVX512, WEFT_VECTOR_SETS } weft_vectors;

/* The last set that the processor runs: it runs those before it, too. */
weft_vectors weft_vectors_widest(void);

#endif
