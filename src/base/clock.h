/* Time. Seconds are doubles; stamps count nanoseconds of the monotonic clock. Threads: any. */
#ifndef WEFT_BASE_CLOCK_H
#define WEFT_BASE_CLOCK_H

#include <stdint.h>

int64_t weft_clock_nanoseconds(void); /* monotonic */
double weft_clock_seconds(void);      /* the same clock */
uint64_t weft_clock_identity(void);   /* the same in all processes that share this clock; 0 when not known */
double weft_clock_date(void);         /* seconds since 1970, of the clock that people set */
void weft_clock_sleep(double seconds);

#endif
