/* options.h - the command line: one table that parsing and --help are both made from. */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stdio.h>

struct config;
struct err;

enum options_action { OPTIONS_RUN, OPTIONS_HELP, OPTIONS_VERSION };

/* Fills @cfg (defaults included) from argv[1..]; its strings point into argv. Returns what to do;
 * -EINVAL with a sentence for what is no valid command line, -ERANGE for a number that is none or
 * too large. --help and --version win over whatever stands behind them. */
int options_parse(int argc, char *const argv[], struct config *cfg, struct err *e);

void options_print_help(FILE *f);
void options_print_version(FILE *f);

#endif
