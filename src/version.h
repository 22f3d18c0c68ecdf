/* version.h - the version, in one place. */
#ifndef VERSION_H
#define VERSION_H

#define VIBEVMM_VERSION "0.1.0"

#endif
