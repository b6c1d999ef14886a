#include "base/random.h"
#include "check.h"

#include <stdlib.h>
#include <string.h>

static weft_schedule *read_text(const char *text)
{
    weft_schedule *schedule = NULL;
    weft_error error;
    if (weft_schedule_read_csv(text, strlen(text), "folder/file.csv", WEFT_CSV_CURRENT, &schedule, &error) != WEFT_OK)
        fail_msg("%s: %s", text, error.text);
    return schedule;
}

static void check_written(const weft_schedule *schedule, const char *expected)
{
    weft_text text;
    weft_text_init(&text);
    weft_schedule_write_csv(schedule, &text);
    assert_string_equal(weft_text_get(&text), expected);
    weft_text_fini(&text);
}

/* Different spellings of one schedule. */
static void test_spellings(void **state)
{
    (void)state;
    const char *spellings[] = {
        "0F0,0B0\n1F0,1B0\n",
        "0F0,0B0\r\n1F0,1B0\r\n",
        "0F0,0B0\n1F0,1B0",
        "0F0,0B0\r\n1F0,1B0\r",
        "0F0,0B0\n1F0,1B0\n\n \n",
        "0F0,,,0B0\n,1F0,1B0,\n",
        " 0F0 ,\t0B0\n  , 1F0 , 1B0 ,,\n",
        "00F00,0B000000000000000000000\n1F0,01B0\n",
        "(0F0;0B0)OVERLAP_F_B\n(1F0)OVERLAP_F_B,1B0\n",
    };
    for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++) {
        weft_schedule *schedule = read_text(spellings[i]);
        check_written(schedule, "0F0,0B0\n1F0,1B0\n");
        assert_string_equal(schedule->name, "file.csv");
        assert_true(schedule->ranks == 2 && schedule->stages == 2 && schedule->microbatches == 1);
        assert_false(schedule->has_messages || schedule->forward_only);
        weft_schedule_destroy(schedule);
    }
}

/* Two parts that can begin together are a pair and stay one; any other fused cell is its parts in their order. */
static void test_pairs(void **state)
{
    (void)state;
    static const char *const kept[] = {
        "0F0,(0F1;0B0)OVERLAP_F_B,0B1\n",
        "0F0,(0F1;0I0)OVERLAP_F_B,0B1,0W0\n",
        "0F0,0F1,(0B0;0F2)OVERLAP_F_B,(0F3;0B1)OVERLAP_F_B,0B2,0B3\n",
        "0F0,0SEND_F0,(0F1;0B0)OVERLAP_F_B,0SEND_F1,0B1\n1RECV_F0,1F0,1RECV_F1,1F1\n",
    };
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        weft_schedule *schedule = read_text(kept[i]);
        check_written(schedule, kept[i]);
        weft_schedule_destroy(schedule);
    }
    static const char *const apart[][2] = {
        {"(0F0;0F1)OVERLAP_F_B,0B0,0B1\n", "0F0,0F1,0B0,0B1\n"},
        {"0F0,0F1,(0F2;0B0;0B1)OVERLAP_F_B,0B2\n", "0F0,0F1,0F2,0B0,0B1,0B2\n"},
        {"0F0,0I0,(0F1;0W0)OVERLAP_F_B,0B1\n", "0F0,0I0,0F1,0W0,0B1\n"},
        {"(0F0;0SEND_F0)OVERLAP_F_B\n1RECV_F0,1F0\n", "0F0,0SEND_F0\n1RECV_F0,1F0\n"},
    };
    for (size_t i = 0; i < sizeof apart / sizeof *apart; i++) {
        weft_schedule *schedule = read_text(apart[i][0]);
        check_written(schedule, apart[i][1]);
        weft_schedule_destroy(schedule);
    }
}

static void test_what_a_file_tells(void **state)
{
    (void)state;
    weft_schedule *schedule = read_text("0F0,2F0,0F1,2F1\n1F0,1F1\n");
    assert_true(schedule->stages == 3 && schedule->loops == 0 && schedule->microbatches == 2);
    assert_true(schedule->stage_rank[0] == 0 && schedule->stage_rank[1] == 1 && schedule->stage_rank[2] == 0);
    assert_true(schedule->forward_only && schedule->ascending);
    weft_schedule_destroy(schedule);
    schedule = read_text("0F0,3F0,0F1,3F1,3B1,3B0,0B1,0B0\n1F0,2F0,1F1,2F1,2B1,2B0,1B1,1B0\n");
    assert_true(schedule->loops == 2 && !schedule->ascending);
    assert_true(schedule->stage_rank[0] == 0 && schedule->stage_rank[3] == 0 && schedule->stage_rank[2] == 1);
    weft_schedule_destroy(schedule);
    schedule = read_text("0F0,0F1,0I0,0I1,0W1,0W0\n");
    assert_false(schedule->ascending);
    weft_schedule_destroy(schedule);
    schedule = read_text("0UNSHARD,0F0,0SEND_F0,0RECV_B0,0B0,0REDUCE_GRAD,0RESHARD\n1RECV_F0,1F0,1B0,1SEND_B0\n");
    assert_true(schedule->has_messages && schedule->ranks == 2 && schedule->microbatches == 1);
    check_written(schedule, "0UNSHARD,0F0,0SEND_F0,0RECV_B0,0B0,0REDUCE_GRAD,0RESHARD\n1RECV_F0,1F0,1B0,1SEND_B0\n");
    weft_schedule_destroy(schedule);
}

/* A missing micro-batch is for verification to name; the reader only forms P, S and M. */
static void test_missing_microbatch(void **state)
{
    (void)state;
    weft_schedule *schedule = read_text("0F0,0F2,0B0\n");
    assert_int_equal(schedule->microbatches, 3);
    weft_schedule_destroy(schedule);
}

/* What ends sends and reductions is proved, then dropped; reductions of a file without messages are, too. */
static void test_waits(void **state)
{
    (void)state;
    static const char *const read[][2] = {
        {"0F0,0SEND_F0,0RECV_B0,0B0,0WAIT_SEND_F0,0REDUCE_GRAD,0WAIT_REDUCE_GRAD\r\n"
         "1RECV_F0,1F0,1B0,1SEND_B0,1REDUCE_GRAD,1WAIT_REDUCE_GRAD,1WAIT_SEND_B0\r\n",
         "0F0,0SEND_F0,0RECV_B0,0B0,0REDUCE_GRAD\n1RECV_F0,1F0,1B0,1SEND_B0,1REDUCE_GRAD\n"},
        {"0F0,0SEND_F0,0WAIT_SEND_F0,0RECV_B0,0B0\n1RECV_F0,1F0,1B0,1SEND_B0,1WAIT_SEND_B0\n",
         "0F0,0SEND_F0,0RECV_B0,0B0\n1RECV_F0,1F0,1B0,1SEND_B0\n"},
        {"0F0,(0SEND_F0;0WAIT_SEND_F0)OVERLAP_F_B\n1RECV_F0,1F0\n", "0F0,0SEND_F0\n1RECV_F0,1F0\n"},
        {"0F0,0SEND_F0,(0F1;0WAIT_SEND_F0;0B0)OVERLAP_F_B,0SEND_F1,0WAIT_SEND_F1,0B1\n1RECV_F0,1F0,1RECV_F1,1F1\n",
         "0F0,0SEND_F0,0F1,0B0,0SEND_F1,0B1\n1RECV_F0,1F0,1RECV_F1,1F1\n"},
        {"0F0,0F1,,0B0,0B1,0REDUCE_GRAD,0WAIT_REDUCE_GRAD\n,1F0,1F1,1B0,1B1,1REDUCE_GRAD,1WAIT_REDUCE_GRAD\n",
         "0F0,0F1,0B0,0B1\n1F0,1F1,1B0,1B1\n"},
        {"0F0,1F0,0I0,1B0,1REDUCE_GRAD,0W0,0REDUCE_GRAD\n", "0F0,1F0,0I0,1B0,0W0\n"},
        {"0UNSHARD,0F0,0B0,0REDUCE_GRAD,0WAIT_REDUCE_GRAD,0RESHARD\n", "0UNSHARD,0F0,0B0,0REDUCE_GRAD,0RESHARD\n"},
    };
    for (size_t i = 0; i < sizeof read / sizeof *read; i++) {
        weft_schedule *schedule = read_text(read[i][0]);
        check_written(schedule, read[i][1]);
        assert_int_equal(schedule->wait_count, 0);
        assert_int_equal(schedule->has_messages, strstr(read[i][0], "SEND") || strstr(read[i][0], "UNSHARD"));
        weft_schedule_destroy(schedule);
    }
}

static weft_schedule *write_out(const weft_schedule *schedule, bool waits)
{
    weft_schedule *written = NULL;
    weft_error error;
    if (weft_schedule_write_out_messages(schedule, waits, &written, &error) != WEFT_OK) fail_msg("%s", error.text);
    return written;
}

/* A file with messages that is written out again keeps them, and its pairs, and gets what it lacks. */
static void test_completed(void **state)
{
    (void)state;
    static const char *const rows[][3] = {
        {"0F0,0SEND_F0,0RECV_B0,0B0\n1RECV_F0,1F0,1B0,1SEND_B0\n",
         "0F0,0SEND_F0,0RECV_B0,0B0,0WAIT_SEND_F0,0REDUCE_GRAD,0WAIT_REDUCE_GRAD\n"
         "1RECV_F0,1F0,1B0,1SEND_B0,1REDUCE_GRAD,1WAIT_REDUCE_GRAD,1WAIT_SEND_B0\n",
         "0F0,0SEND_F0,0RECV_B0,0B0,0REDUCE_GRAD\n1RECV_F0,1F0,1B0,1SEND_B0,1REDUCE_GRAD\n"},
        {"0F0,0SEND_F0,0F1,0SEND_F1,0RECV_B0,0B0,0RECV_B1,0B1\n"
         "1RECV_F0,1F0,1RECV_F1,(1F1;1B0)OVERLAP_F_B,1SEND_B0,1I1,1SEND_B1,1W1,1REDUCE_GRAD\n",
         "0F0,0SEND_F0,0F1,0SEND_F1,0RECV_B0,0B0,0WAIT_SEND_F0,0RECV_B1,0B1,0WAIT_SEND_F1,0REDUCE_GRAD,"
         "0WAIT_REDUCE_GRAD\n"
         "1RECV_F0,1F0,1RECV_F1,(1F1;1B0)OVERLAP_F_B,1SEND_B0,1I1,1SEND_B1,1W1,1REDUCE_GRAD,1WAIT_REDUCE_GRAD,"
         "1WAIT_SEND_B0,1WAIT_SEND_B1\n",
         "0F0,0SEND_F0,0F1,0SEND_F1,0RECV_B0,0B0,0RECV_B1,0B1,0REDUCE_GRAD\n"
         "1RECV_F0,1F0,1RECV_F1,(1F1;1B0)OVERLAP_F_B,1SEND_B0,1I1,1SEND_B1,1W1,1REDUCE_GRAD\n"},
        {"0F0,0SEND_F0,0F1,0SEND_F1,0RECV_B1,0B1,0RECV_B0,(0B0;0F2)OVERLAP_F_B,0SEND_F2,0RECV_B2,0B2\n"
         "1RECV_F0,1F0,1RECV_F1,1F1,1B1,1SEND_B1,1B0,1SEND_B0,1RECV_F2,1F2,1B2,1SEND_B2\n",
         "0F0,0SEND_F0,0F1,0SEND_F1,0RECV_B1,0B1,0WAIT_SEND_F1,0RECV_B0,(0B0;0F2)OVERLAP_F_B,0WAIT_SEND_F0,0SEND_F2,"
         "0RECV_B2,0B2,0WAIT_SEND_F2,0REDUCE_GRAD,0WAIT_REDUCE_GRAD\n"
         "1RECV_F0,1F0,1RECV_F1,1F1,1B1,1SEND_B1,1B0,1SEND_B0,1RECV_F2,1F2,1B2,1SEND_B2,1REDUCE_GRAD,"
         "1WAIT_REDUCE_GRAD,1WAIT_SEND_B1,1WAIT_SEND_B0,1WAIT_SEND_B2\n",
         NULL},
        {"0F0,0SEND_F0\n1RECV_F0,1F0\n", "0F0,0SEND_F0,0WAIT_SEND_F0\n1RECV_F0,1F0\n", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int waits = 0; waits < 2; waits++) {
            weft_schedule *schedule = read_text(rows[i][0]), *written = write_out(schedule, waits);
            if (rows[i][2 - waits]) check_written(written, rows[i][2 - waits]);
            weft_schedule_destroy(schedule);
            weft_schedule_destroy(written);
        }
}

static const struct {
    const char *text, *message;
} refused[] = {
    {"", "f.csv: the schedule is empty"},
    {"\n \r\n\n", "the schedule is empty"},
    {"0F0,0G0\n", "f.csv, row 1, column 2: \"0G0\" is no action"},
    {"0F0\n1F0, F0\n", "f.csv, row 2, column 2: \"F0\" does not begin with a stage number"},
    {"0F0x\n", "\"0F0x\" has something behind the action"},
    {"0F0 0\n", "\"0F0 0\" has something behind the action"},
    {"0F\n", "\"0F\" lacks its micro-batch number"},
    {"0F0,1UNSHARD3\n", "\"1UNSHARD3\" takes no micro-batch number"},
    {"0f0\n", "\"0f0\" is no action"},
    {"0F-1\n", "is no action"},
    {"0 F0\n", "is no action"},
    {"0\n", "\"0\" is no action"},
    {"0UPDATE\n", "is no action"},
    {"NORM\n", "does not begin with a stage"},
    {"16777216F0\n", "names a stage above 16777215"},
    {"99999999999999999999999999F0\n", "names a stage above 16777215"},
    {"0F1073741824\n", "names a micro-batch above 1073741823"},
    {"0F340282366920938463463374607431768211456\n", "names a micro-batch above 1073741823"},
    {"0F1073741823\n", "row 1, column 1: \"0F1073741823\" has the highest micro-batch number"},
    {"16777215F0\n", "stage 0 is in no row, although there is a stage 16777215"},
    {"0F0,2F0\n", "stage 1 is in no row"},
    {"0F0,1F0\n1F1\n", "f.csv, row 2, column 1: \"1F1\" is on stage 1, which row 1 already holds"},
    {"0F0\n\n1F0\n", "row 2: no action"},
    {"0F0\n,,\n", "row 2: no action"},
    {"0B0\n", "no forward action"},
    {"0F0,0BW0\n", "\"0BW0\" is of the dialect of 2024"},
    {"0F0,0F1,0B0,0B1,0W0,0W1\n", "column 5: \"0W0\" goes with a B of the same stage and micro-batch and no I"},
    {"(0F0;0B0\n", "opens a fused cell that does not end with )OVERLAP_F_B"},
    {"(0F0;0B0)OVERLAP\n", "opens a fused cell"},
    {"()OVERLAP_F_B\n", "does not begin with a stage number"},
    {"(0F0;)OVERLAP_F_B\n", "does not begin with a stage number"},
    {"(0F0;(0B0)OVERLAP_F_B)OVERLAP_F_B\n", "\"(0B0)OVERLAP_F_B\" does not begin"},
    {"(0F0)OVERLAP_F_B0\n", "opens a fused cell"},
    {"0F0)OVERLAP_F_B\n", "has something behind"},
    {"0F0,0SEND_F0,\n1RECV_F0,1F0\n", "row 1, column 3: \"\" is a blank cell"},
    {"0RECV_F0,0F0\n", "nothing comes before the first stage"},
    {"0F0,0SEND_F0\n", "nothing comes after the last stage"},
    {"0F0,0SEND_F0\n1F0,1RECV_F0\n", "f.csv, row 2, column 1: \"1F0\" comes before 1RECV_F0, which it needs"},
    {"0SEND_F0,0F0\n1RECV_F0,1F0\n", "row 1, column 1: \"0SEND_F0\" comes before 0F0"},
    {"0F0,0SEND_F0,0B0,0RECV_B0\n1RECV_F0,1F0,1B0,1SEND_B0\n", "column 3: \"0B0\" comes before 0RECV_B0"},
    {"0F0,0SEND_F0,0I0,0RECV_B0,0W0\n1RECV_F0,1F0,1B0,1SEND_B0\n", "column 3: \"0I0\" comes before 0RECV_B0"},
    {"0F0,0SEND_F0,0RECV_B0,0B0\n1RECV_F0,1F0,1SEND_B0,1B0\n", "column 3: \"1SEND_B0\" comes before 1B0"},
    {"0F0,0SEND_F0,0RECV_B0,0B0\n1RECV_F0,1F0,1SEND_B0,1I0,1W0\n", "column 3: \"1SEND_B0\" comes before 1I0"},
    {"0F0,0SEND_F0,0WAIT_SEND_F\n1RECV_F0,1F0\n", "\"0WAIT_SEND_F\" lacks its micro-batch number"},
    {"0F0,0SEND_F0,0WAIT_SEND_F0x\n1RECV_F0,1F0\n", "\"0WAIT_SEND_F0x\" has something behind the action"},
    {"0F0,0SEND_F0,0WAIT_SEND_F-1\n1RECV_F0,1F0\n", "is no action"},
    {"0F0,0SEND_F0,0WAIT_SEND_F1073741824\n1RECV_F0,1F0\n", "names a micro-batch above 1073741823"},
    {"0F0,0B0,0REDUCE_GRAD,0WAIT_REDUCE_GRAD0\n", "\"0WAIT_REDUCE_GRAD0\" takes no micro-batch number"},
    {"0F0,0SEND_F0,0WAIT_RECV_F0\n1RECV_F0,1F0\n", "is no action"},
    {"0WAIT_SEND_F0\n1F0\n", "row 1: no action"},
    {"0F0,0WAIT_SEND_F0,0SEND_F0\n1RECV_F0,1F0\n",
     "f.csv, row 1, column 2: \"0WAIT_SEND_F0\" has no 0SEND_F0 before it in its row, which it could end"},
    {"0F0,0SEND_F0,0WAIT_SEND_F0,0WAIT_SEND_F1\n1RECV_F0,1F0\n",
     "column 4: \"0WAIT_SEND_F1\" has no 0SEND_F1 before it"},
    {"0F0,0SEND_F0,0WAIT_SEND_F0,7WAIT_SEND_F0\n1RECV_F0,1F0\n", "\"7WAIT_SEND_F0\" has no 7SEND_F0 before it"},
    {"0F0,0SEND_F0\n1RECV_F0,1F0,0WAIT_SEND_F0\n", "\"0SEND_F0\" has no 0WAIT_SEND_F0 behind it in its row"},
    {"0F0,0WAIT_SEND_F0\n1F0\n", "has no 0SEND_F0 before it"},
    {"0F0,0SEND_F0,0F1,0SEND_F1,0WAIT_SEND_F1\n1RECV_F0,1F0,1RECV_F1,1F1\n",
     "f.csv, row 1, column 2: \"0SEND_F0\" has no 0WAIT_SEND_F0 behind it in its row, which would end it"},
    {"0F0,0SEND_F0,0WAIT_SEND_F0,0WAIT_SEND_F0\n1RECV_F0,1F0\n", "column 4: \"0WAIT_SEND_F0\" is there twice"},
    {"0F0,0SEND_F0,0SEND_F0,0WAIT_SEND_F0\n1RECV_F0,1F0\n", "column 3: \"0SEND_F0\" is there twice"},
    {"0F0,0SEND_F0,0RECV_B0,0B0,0REDUCE_GRAD,0WAIT_SEND_F0\n1RECV_F0,1F0,1B0,1SEND_B0,1WAIT_SEND_B0\n",
     "row 1, column 5: \"0REDUCE_GRAD\" has no 0WAIT_REDUCE_GRAD behind it in its row"},
    {"0F0,0B0,0WAIT_REDUCE_GRAD,0REDUCE_GRAD\n", "\"0WAIT_REDUCE_GRAD\" has no 0REDUCE_GRAD before it"},
    {"0F0,1F0,1B0,1REDUCE_GRAD,0B0,0REDUCE_GRAD,1WAIT_REDUCE_GRAD,0WAIT_REDUCE_GRAD\n",
     "column 6: \"0REDUCE_GRAD\" begins before 1WAIT_REDUCE_GRAD: a rank has one reduction pending at most"},
    {"0F0,0F1,0B0,0REDUCE_GRAD,0B1\n", "column 4: \"0REDUCE_GRAD\" comes before 0B1, whose gradients it would miss"},
    {"0F0,0I0,0REDUCE_GRAD,0W0\n", "column 3: \"0REDUCE_GRAD\" comes before 0W0, whose gradients it would miss"},
    {"0F0,0B0,0REDUCE_GRAD,0REDUCE_GRAD\n", "column 4: \"0REDUCE_GRAD\" is there twice"},
    {"0F0,0SEND_F0,0F1,0SEND_F1,0WAIT_SEND_F1,0RECV_B0,0B0,0WAIT_SEND_F0,0RECV_B1,0B1\n"
     "1RECV_F0,1F0,1B0,1SEND_B0,1WAIT_SEND_B0,1RECV_F1,1F1,1B1,1SEND_B1,1WAIT_SEND_B1\n",
     "f.csv, row 1, column 5: \"0WAIT_SEND_F1\" waits for ever when each row is one list: rank 0 waits in "
     "0WAIT_SEND_F1 "
     "because rank 1 has not come to 1RECV_F1, which is behind 1WAIT_SEND_B0 in its row; rank 1 waits in 1WAIT_SEND_B0 "
     "because rank 0 has not come to 0RECV_B0, which is behind 0WAIT_SEND_F1 in its row"},
    {"0F0,0RECV_B0,0B0,0SEND_F0,0WAIT_SEND_F0\n1RECV_F0,1F0,1B0,1SEND_B0,1WAIT_SEND_B0\n",
     "f.csv, row 1, column 3: \"0B0\" waits for ever when each row is one list: rank 0 waits to run 0B0 because rank 1 "
     "has "
     "not come to 1SEND_B0, which is behind 1F0 in its row; rank 1 waits to run 1F0 because rank 0 has not come to "
     "0SEND_F0, which is behind 0B0 in its row"},
    {"\xEF\xBB\xBF"
     "0F0,0X0\n",
     "row 1, column 2: \"0X0\""},
    {"\xFF\xFE"
     "0F0",
     "is text of two or four bytes a character"},
    {"0F0\r,0B0\n", "row 1, column 1: \"0F0?\" has something behind"},
    {"\"0F0\",0B0\n", "does not begin with a stage number"},
    {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n",
     "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...\" does not begin"},
};

static void test_refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        weft_schedule *schedule = NULL;
        weft_error error;
        assert_int_equal(weft_schedule_read_csv(refused[i].text, strlen(refused[i].text), "f.csv", WEFT_CSV_CURRENT,
                                                &schedule, &error),
                         WEFT_INVALID);
        assert_null(schedule);
        assert_null(strchr(error.text, '\n'));
        if (!strstr(error.text, refused[i].message)) fail_msg("\"%s\" lacks \"%s\"", error.text, refused[i].message);
    }
}

/* What is accepted must be sound whatever the text was: places in range, and the same again when written and read. */
static void check_sound(const weft_schedule *schedule)
{
    weft_schedule *again = NULL;
    weft_error error;
    weft_text text;
    assert_true(schedule->ranks >= 1 && schedule->stages >= schedule->ranks && schedule->microbatches >= 1);
    for (int32_t stage = 0; stage < schedule->stages; stage++)
        assert_true(schedule->stage_rank[stage] >= 0 && schedule->stage_rank[stage] < schedule->ranks);
    for (int32_t rank = 0; rank < schedule->ranks; rank++)
        for (size_t i = schedule->first[rank]; i < schedule->first[rank + 1]; i++)
            assert_int_equal(schedule->stage_rank[schedule->actions[i].stage], rank);
    weft_text_init(&text);
    weft_schedule_write_csv(schedule, &text);
    assert_int_equal(weft_schedule_read_csv(text.bytes, text.length, "again", WEFT_CSV_CURRENT, &again, &error),
                     WEFT_OK);
    check_written(again, weft_text_get(&text));
    weft_schedule_destroy(again);
    weft_text_fini(&text);
}

static const char *const seeds[] = {
    "0F0,0F1,0F2,2F0,2F1,2F2,2B0,2B1,2B2,0B0,0B1,0B2\r\n1F0,1F1,1F2,3F0,3F1,3F2,3B0,3B1,3B2,1B0,1B1,1B2\r\n",
    "0UNSHARD,0F0,0SEND_F0,0RECV_B0,0B0,0REDUCE_GRAD,0RESHARD\n1RECV_F0,1F0,1B0,1SEND_B0\n",
    "0F0,,0I0,0W0\n,(1F0;1B0)OVERLAP_F_B,1F1\n",
    "0F0,(0F1;0B0)OVERLAP_F_B,0B1\n1F0,1B0,(1F1;1I0)OVERLAP_F_B\n",
    "0F0,0SEND_F0,0RECV_B0,0B0,0WAIT_SEND_F0\n1RECV_F0,1F0,1B0,1SEND_B0,1WAIT_SEND_B0\n",
    "0F0,0B0,0REDUCE_GRAD,0WAIT_REDUCE_GRAD\n1F0,1B0,1REDUCE_GRAD,1WAIT_REDUCE_GRAD\n",
};

/* Overwrites, drops or repeats a few bytes, then cuts the text at times. Returns the new length. */
static size_t mutate(char *text, size_t length, uint64_t *counter)
{
    static const char alphabet[] = "0123456789FBIWSENDRECVATUG_();,,,\r\n\n \t\"x\xff";
    weft_random_key key = weft_random_key_make(11, "mutations");
    uint64_t changes = 1 + weft_random_bits(key, (*counter)++) % 4;
    while (changes-- && length) {
        uint64_t bits = weft_random_bits(key, (*counter)++);
        size_t at = bits % length, span = 1 + (bits >> 32) % 6;
        if (span > length - at) span = length - at;
        if ((bits >> 40) % 3 == 0)
            text[at] = alphabet[(bits >> 48) % sizeof alphabet];
        else if ((bits >> 40) % 3 == 1) {
            memmove(text + at, text + at + span, length - at - span);
            length -= span;
        } else {
            memmove(text + at + span, text + at, length - at);
            length += span;
        }
    }
    uint64_t cut = weft_random_bits(key, (*counter)++);
    return cut % 4 || !length ? length : cut / 4 % length;
}

static void test_mutations(void **state)
{
    (void)state;
    uint64_t counter = 0;
    int accepted = 0, rejected = 0;
    for (int round = 0; round < 30000; round++) {
        const char *seed = seeds[(size_t)round % (sizeof seeds / sizeof *seeds)];
        char text[256];
        size_t length = strlen(seed);
        memcpy(text, seed, length);
        length = mutate(text, length, &counter);
        /* A copy of exactly that length, so that a sanitizer sees a read behind its end. */
        char *exact = malloc(length + !length);
        assert_non_null(exact);
        memcpy(exact, text, length);
        weft_schedule *schedule = NULL;
        weft_error error;
        weft_status status = weft_schedule_read_csv(exact, length, "mutated",
                                                    round % 4 ? WEFT_CSV_CURRENT : WEFT_CSV_2024, &schedule, &error);
        free(exact);
        assert_true(status == WEFT_OK || status == WEFT_INVALID);
        assert_int_equal(status == WEFT_OK, schedule != NULL);
        if (schedule) check_sound(schedule);
        if (schedule)
            accepted++;
        else
            rejected++;
        weft_schedule_destroy(schedule);
    }
    assert_true(accepted > 500 && rejected > 5000); /* both outcomes were really tried */
}

/* The dialect of 2024, when it is named: B is I, BW is B; with messages and without. */
static void test_dialect_of_2024(void **state)
{
    (void)state;
    static const struct {
        const char *text, *rows, *message;
    } cases[] = {
        {"0F0,0F1,0BW0,0BW1\n", "0F0,0F1,0B0,0B1\n", NULL},
        {"0F0,0F1,0B0,0B1,0W0,0W1\n", "0F0,0F1,0I0,0I1,0W0,0W1\n", NULL},
        {"0F0,0F1,0B0,0W0,0BW1\n", "0F0,0F1,0I0,0W0,0B1\n", NULL},
        {"(0F0;0BW0)OVERLAP_F_B,,0F1\r\n", "0F0,0B0,0F1\n", NULL},
        {"0F0,0SEND_F0,0RECV_B0,0B0,0W0\r\n1RECV_F0,1F0,1B0,1SEND_B0,1W0\r\n",
         "0F0,0SEND_F0,0RECV_B0,0I0,0W0\n1RECV_F0,1F0,1I0,1SEND_B0,1W0\n", NULL},
        {"0F0,0I0\n", NULL, "f.csv, row 1, column 2: \"0I0\" is no action of the dialect of 2024"},
        {"0F0,1BW0\n1F0\n", NULL, "row 2, column 1: \"1F0\" is on stage 1"},
        {"0F0\n1F0,0BW0\n", NULL, "row 2, column 2: \"0BW0\" is on stage 0"},
        {"0F0,0B999\n", NULL, "row 1, column 2: \"0B999\" has the highest micro-batch number"},
        {"0F0,0BW\n", NULL, "\"0BW\" lacks its micro-batch number"},
        {"0F0,0SEND_F0,0WAIT_SEND_F0\n1RECV_F0,1F0\n", NULL, "\"0WAIT_SEND_F0\" is no action of the dialect of 2024"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        weft_schedule *schedule = NULL;
        weft_error error = {0};
        weft_status status =
            weft_schedule_read_csv(cases[i].text, strlen(cases[i].text), "f.csv", WEFT_CSV_2024, &schedule, &error);
        assert_int_equal(status, cases[i].rows ? WEFT_OK : WEFT_INVALID);
        if (cases[i].rows) check_written(schedule, cases[i].rows);
        if (cases[i].message && !strstr(error.text, cases[i].message)) fail_msg("%s", error.text);
        weft_schedule_destroy(schedule);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spellings),
        cmocka_unit_test(test_what_a_file_tells),
        cmocka_unit_test(test_missing_microbatch),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_mutations),
        cmocka_unit_test(test_dialect_of_2024),
        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_waits),
        cmocka_unit_test(test_completed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
