/* disks.c - opens the disks that the configuration names and puts them on the PCI bus, in its order. */
#include <stddef.h>

#include "base/err.h"
#include "base/log.h"
#include "config/config.h"
#include "host/block/block.h"
#include "machine/internal.h"
#include "virtio/blk.h"

#define QUEUES_MAX 8u /* one for each CPU, up to this */

static int add_disk(struct machine *m, const struct config_disk *d, struct err *e)
{
	static const enum block_format formats[] = { BLOCK_PROBE, BLOCK_RAW, BLOCK_QCOW2 };
	static const enum block_cache caches[] = { BLOCK_CACHE_WRITEBACK, BLOCK_CACHE_NONE, BLOCK_CACHE_UNSAFE };
	struct block_options o = {
		.path = d->path,
		.format = formats[d->format],
		.cache = caches[d->cache],
		.readonly = d->readonly,
		.ephemeral = d->ephemeral,
	};
	struct virtio_blk_config cfg = {
		.serial = d->serial[0] ? d->serial : NULL,
		.nqueues = m->cfg->cpus < QUEUES_MAX ? (unsigned)m->cfg->cpus : QUEUES_MAX,
	};
	struct virtio_model model;
	int r = block_open(&o, &cfg.block, e);

	if (r < 0)
		return r;
	log_info("Disk '%s': %s, %llu MiB%s, %s", d->path, block_format_name(cfg.block),
		 (unsigned long long)(block_size(cfg.block) >> 20), block_readonly(cfg.block) ? ", read-only" : "",
		 block_io_name(cfg.block));
	r = virtio_blk_create(&cfg, &model, e);
	if (r < 0) {
		block_close(cfg.block);
		return r;
	}
	r = machine_add_virtio(m, &model, e);
	if (r < 0)
		model.ops->destroy(model.dev);
	return r;
}

int machine_attach_disks(struct machine *m, struct err *e)
{
	int r = 0;

	for (unsigned i = 0; i < m->cfg->ndisks && !r; i++)
		r = add_disk(m, &m->cfg->disks[i], e);
	return r;
}
