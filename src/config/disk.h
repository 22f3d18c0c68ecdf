/* disk.h - the value of --disk: PATH[,ro][,format=raw|qcow2][,serial=TEXT][,cache=MODE][,ephemeral] */
#ifndef CONFIG_DISK_H
#define CONFIG_DISK_H

#include <stdbool.h>

struct err;

#define CONFIG_DISK_PATH_MAX   4096
#define CONFIG_DISK_SERIAL_MAX 20

/* Indices of the names that the option takes */
enum config_disk_format { CONFIG_DISK_PROBE, CONFIG_DISK_RAW, CONFIG_DISK_QCOW2 };
enum config_disk_cache { CONFIG_CACHE_WRITEBACK, CONFIG_CACHE_NONE, CONFIG_CACHE_UNSAFE };

struct config_disk {
	char path[CONFIG_DISK_PATH_MAX];
	char serial[CONFIG_DISK_SERIAL_MAX + 1]; /* empty: none */
	enum config_disk_format format;
	enum config_disk_cache cache;
	bool readonly, ephemeral;
};

/* A comma in the path or the serial is written twice. 0, or -ERANGE with a sentence. */
int config_disk_parse(const char *text, struct config_disk *out, struct err *e);

#endif
