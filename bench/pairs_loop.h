/* The rate at which processors multiply pairs of bf16 when nothing has to be loaded: what products are compared with.
 */
#ifndef WEFT_BENCH_PAIRS_LOOP_H
#define WEFT_BENCH_PAIRS_LOOP_H

/* Operations a second of threads threads in at most about that many seconds; 0 where the processor or the compiler has
 * no vdpbf16ps. */
double bench_pairs_rate(int threads, double seconds);

#endif
