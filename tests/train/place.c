#include "place.h"

#include "base/file.h"
#include "layouts.h"

#include <stdio.h>
#include <stdlib.h>

char test_folder[64] = "/tmp/weft-tests-train-XXXXXX", test_corpus[128];

int test_place_set_up(void **state)
{
    (void)state;
    if (!mkdtemp(test_folder)) return -1;
    snprintf(test_corpus, sizeof test_corpus, "%s/corpus.txt", test_folder);
    test_write_corpus(test_corpus);
    return 0;
}

int test_place_tear_down(void **state)
{
    (void)state;
    weft_error error;
    return weft_folder_remove(test_folder, &error) == WEFT_OK ? 0 : -1;
}
