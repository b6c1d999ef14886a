/*
 * The schedules that closed forms tell apart. Of the other kinds of schedule/kinds.c none has times of its own worth a
 * row: breadth-first-descending takes as long as breadth-first and holds as much, and the two kinds with gaps, which
 * hold less where P does not divide M, are never faster than those without.
 */
#include "plan/machine.h"

static const weft_plan_kind_traits kinds[WEFT_PLAN_KINDS] = {
    [WEFT_PLAN_NONE] = {"none", 1, 0, false},
    [WEFT_PLAN_GPIPE] = {"gpipe", 1, 0, false},
    [WEFT_PLAN_1F1B] = {"1f1b", 1, 0, false},
    [WEFT_PLAN_DEPTH_FIRST] = {"depth-first", 0, 0, false},
    [WEFT_PLAN_BREADTH_FIRST] = {"breadth-first", 0, 0, false},
    [WEFT_PLAN_HYBRID] = {"hybrid", 0, 0, false},
    [WEFT_PLAN_ZB_H1] = {"zb-h1", 1, 0, false},
    [WEFT_PLAN_ZB_H2] = {"zb-h2", 1, 0, false},
    [WEFT_PLAN_ZB_V] = {"zb-v", 2, 0, true},
    [WEFT_PLAN_SEQUENTIAL] = {"sequential", 1, 0, false},
    [WEFT_PLAN_INTERLEAVED_ZERO_BUBBLE] = {"interleaved-zero-bubble", 0, 0, false},
    [WEFT_PLAN_BREADTH_FIRST_SPLIT] = {"breadth-first-split", 0, 0, false},
    [WEFT_PLAN_DUALPIPE_V] = {"dualpipe-v", 2, 2, true},
    [WEFT_PLAN_V_HALF] = {"v-half", 2, 0, true},
    [WEFT_PLAN_V_MIN] = {"v-min", 2, 0, true},
};

const weft_plan_kind_traits *weft_plan_kind_of(weft_plan_kind kind)
{
    return &kinds[kind];
}

bool weft_plan_kind_has_loops(weft_plan_kind kind, int32_t loops)
{
    int32_t own = kinds[kind].loops;
    return own > 0 ? loops == own : loops > 1;
}

const char *weft_plan_kind_name(weft_plan_kind kind)
{
    return kinds[kind].name;
}
