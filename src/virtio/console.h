/* console.h - the console device (virtio 1.2, 5.3): one port, which Linux calls hvc0. */
#ifndef VIRTIO_CONSOLE_H
#define VIRTIO_CONSOLE_H

#include "virtio/virtio.h"

struct console;
struct err;
struct loop;

struct console_config {
	struct loop *loop;
	/* On the loop's thread, never waits: how much was taken. What was not is offered again a little later. */
	size_t (*out)(void *ctx, const uint8_t *buf, size_t n);
	/* The guest has given buffers, after console_input had taken less than it was offered, or has a
	 * driver now. Loop's thread. */
	void (*room)(void *ctx);
	void *ctx;
};

int virtio_console_create(const struct console_config *, struct virtio_model *out, struct console **handle,
			  struct err *e);

/* The guest has a driver that could take input. Any thread. */
bool virtio_console_ready(const struct console *);
/* Input for the guest: how many bytes it took. Loop's thread. */
size_t virtio_console_input(struct console *, const uint8_t *buf, size_t n);
/* The window's size; 0, 0: not known. Any thread. */
void virtio_console_resize(struct console *, uint16_t cols, uint16_t rows);

#endif
