/* A program that knows only the public header and libweft. */
#include <weft/weft.h>

#include <stdio.h>
#include <string.h>

int main(int count, char **words)
{
    if (count != 2 || strcmp(weft_version(), words[1]) != 0) {
        fprintf(stderr, "libweft is version %s\n", weft_version());
        return 1;
    }
    return 0;
}
