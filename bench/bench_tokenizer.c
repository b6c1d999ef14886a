/*
 * A tokenizer's speed on a text: in documents of some 4 KB by one encoder, as bytes a second of CPU time; and the whole
 * text by one thread, two, and so on, as ratios of the wall time. tools/tokenizer_originals.py --speed runs this beside
 * the libraries that made the files.
 *
 * Usage: bench_tokenizer TOKENIZER TEXT [THREADS [PATTERN]]
 */
#include "tokenizer/tokenizer.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/median.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ROUNDS = 5, DOCUMENT = 4096 };

static void check(weft_status status, const weft_error *error)
{
    if (status == WEFT_OK) return;
    fprintf(stderr, "bench_tokenizer: %s\n", error->text);
    exit(weft_status_exit(status));
}

static double cpu_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void run_documents(const weft_tokenizer *tokenizer, const weft_map *text)
{
    weft_error error;
    weft_token_list tokens = {0};
    double seconds[ROUNDS];
    size_t count = 0;
    for (int round = 0; round < ROUNDS; round++) {
        weft_encoder *encoder = NULL;
        double begin = cpu_seconds();
        check(weft_encoder_create(tokenizer, &encoder, &error), &error);
        count = 0;
        for (size_t at = 0; at < text->size; at += DOCUMENT) {
            size_t length = text->size - at < DOCUMENT ? text->size - at : DOCUMENT;
            tokens.count = 0;
            check(weft_encoder_encode(encoder, (const char *)text->bytes + at, length, 0, &tokens, &error), &error);
            count += tokens.count;
        }
        weft_encoder_destroy(encoder);
        seconds[round] = cpu_seconds() - begin;
    }
    weft_token_list_fini(&tokens);
    printf("documents: %.2f MB/s of CPU time, %zu tokens\n", 1e-6 * (double)text->size / weft_median(seconds, ROUNDS),
           count);
}

static double run_threads(const weft_tokenizer *tokenizer, const weft_map *text, int threads)
{
    weft_error error;
    double seconds[ROUNDS];
    for (int round = 0; round < ROUNDS; round++) {
        weft_token_list tokens = {0};
        double begin = weft_clock_seconds();
        check(weft_tokenizer_encode(tokenizer, (const char *)text->bytes, text->size, 0, threads, &tokens, &error),
              &error);
        seconds[round] = weft_clock_seconds() - begin;
        weft_token_list_fini(&tokens);
    }
    return weft_median(seconds, ROUNDS);
}

int main(int count, char **words)
{
    weft_error error;
    weft_tokenizer *tokenizer = NULL;
    weft_map text;
    int most = count > 3 ? atoi(words[3]) : 1;
    if (count < 3) return 2;
    double begin = cpu_seconds();
    check(weft_tokenizer_create(words[1], count > 4 ? words[4] : NULL, &tokenizer, &error), &error);
    printf("%s, read in %.2f s\n", weft_tokenizer_describe(tokenizer), cpu_seconds() - begin);
    check(weft_map_init(&text, words[2], &error), &error);
    run_documents(tokenizer, &text);
    double one = run_threads(tokenizer, &text, 1);
    for (int threads = 2; threads <= most; threads++)
        printf("%d threads: %.2f times as fast as one\n", threads, one / run_threads(tokenizer, &text, threads));
    weft_map_fini(&text);
    weft_tokenizer_destroy(tokenizer);
    return 0;
}
