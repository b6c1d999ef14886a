/* documents PREFIX: the tokens of a data set, a line for each document, for tools/megatron_files.py. Documents without
 * tokens have no line. */
#include "data/corpus.h"

#include <inttypes.h>
#include <stdio.h>

static weft_status print_document(const weft_corpus *corpus, uint64_t begin, uint64_t end, weft_text *out,
                                  weft_error *error)
{
    size_t count = (size_t)(end - begin);
    int32_t *tokens = NULL;
    TRY(weft_allocate(count, sizeof *tokens, &tokens, error));
    weft_status status = weft_corpus_read(corpus, begin, count - 1, INT32_MAX, tokens, &tokens[count - 1], error);
    for (size_t i = 0; i < count && status == WEFT_OK; i++) weft_text_add(out, i ? " %" PRId32 : "%" PRId32, tokens[i]);
    weft_text_add(out, "\n");
    weft_free(tokens);
    return status == WEFT_OK ? weft_text_check(out, error) : status;
}

static weft_status print_all(const weft_corpus *corpus, weft_text *out, weft_error *error)
{
    for (uint64_t begin = 0, end = 0; begin < corpus->tokens; begin = end) {
        TRY(weft_corpus_next_document(corpus, begin, &end, error));
        TRY(print_document(corpus, begin, end, out, error));
    }
    return WEFT_OK;
}

int main(int count, char **words)
{
    weft_corpus corpus;
    weft_text out;
    weft_error error;
    weft_error_clear(&error);
    if (count != 2) return 2;
    weft_text_init(&out);
    weft_status status = weft_corpus_init(&corpus, &(weft_corpus_options){.path = words[1]}, &error);
    if (status == WEFT_OK) {
        status = print_all(&corpus, &out, &error);
        weft_corpus_fini(&corpus);
    }
    fputs(status == WEFT_OK ? weft_text_get(&out) : error.text, status == WEFT_OK ? stdout : stderr);
    weft_text_fini(&out);
    return weft_status_exit(status);
}
