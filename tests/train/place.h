/* A folder for the files of a test program, with a corpus in it: made before its tests, removed after them. */
#ifndef TESTS_TRAIN_PLACE_H
#define TESTS_TRAIN_PLACE_H

extern char test_folder[64], test_corpus[128];

/* For cmocka_run_group_tests. */
int test_place_set_up(void **state);
int test_place_tear_down(void **state);

#endif
