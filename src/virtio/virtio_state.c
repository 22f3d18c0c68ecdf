/* virtio_state.c - a virtio device's state as bytes, for snapshots. */
#include <errno.h>
#include <stdlib.h>

#include "dev/devstate.h"
#include "virtio/virtio_dev.h"

/* Everything but the class's own state */
struct state {
	uint8_t status, generation;
	bool started;
	uint64_t accepted;
	uint32_t class_len;
	struct virtio_queue_regs regs[VIRTIO_QUEUES_MAX];
	struct vq_position at[VIRTIO_QUEUES_MAX];
};

static void sync_fields(struct devstate *s, struct state *st, unsigned nqueues)
{
	ds_tag(s, 0x54524956, 1);
	ds_u8(s, &st->status);
	ds_u8(s, &st->generation);
	ds_bool(s, &st->started);
	ds_u64(s, &st->accepted);
	for (unsigned i = 0; i < nqueues; i++) {
		ds_u64(s, &st->regs[i].desc);
		ds_u64(s, &st->regs[i].driver);
		ds_u64(s, &st->regs[i].device);
		ds_u16(s, &st->regs[i].size);
		ds_bool(s, &st->regs[i].enable);
		ds_u16(s, &st->at[i].next_avail);
		ds_u16(s, &st->at[i].next_used);
		ds_bool(s, &st->at[i].avail_wrap);
		ds_bool(s, &st->at[i].used_wrap);
	}
	ds_u32(s, &st->class_len);
}

static void save(struct virtio_dev *v, struct devstate *s, struct state *st)
{
	const struct virtio_ops *ops = v->model.ops;
	uint8_t *own = NULL;

	st->status = atomic_load(&v->status);
	st->generation = atomic_load(&v->generation);
	st->started = v->started;
	st->accepted = v->accepted;
	memcpy(st->regs, v->regs, sizeof(st->regs));
	for (unsigned i = 0; i < v->model.nqueues; i++)
		vq_position_get(&v->queues[i], &st->at[i]);
	st->class_len = ops->save ? (uint32_t)ops->save(v->model.dev, NULL, 0) : 0;
	sync_fields(s, st, v->model.nqueues);
	if (st->class_len)
		own = calloc(1, st->class_len);
	if (own)
		ops->save(v->model.dev, own, st->class_len);
	else if (st->class_len)
		s->bad = true;
	if (own)
		ds_bytes(s, own, st->class_len);
	free(own);
}

static int restart_queues(struct virtio_dev *v, const struct state *st)
{
	for (unsigned i = 0; i < v->model.nqueues; i++) {
		struct vq_setup set = {
			.desc = st->regs[i].desc, .driver = st->regs[i].driver, .device = st->regs[i].device,
			.size = st->regs[i].size,
			.packed = st->accepted & VIRTIO_F_RING_PACKED,
			.event_idx = st->accepted & VIRTIO_F_EVENT_IDX,
			.indirect = st->accepted & VIRTIO_F_INDIRECT_DESC,
		};

		if (!st->regs[i].enable)
			continue;
		if (vq_start(&v->queues[i], &set) < 0 || vq_position_set(&v->queues[i], &st->at[i]) < 0)
			return -EINVAL;
	}
	return 0;
}

static void load(struct virtio_dev *v, struct devstate *s, struct state *st)
{
	const struct virtio_ops *ops = v->model.ops;
	const uint8_t *own;

	sync_fields(s, st, v->model.nqueues);
	if (s->bad || st->class_len > s->cap - s->pos || st->accepted & ~v->offered) {
		s->bad = true;
		return;
	}
	own = s->in + s->pos;
	s->pos += st->class_len;
	virtio_dev_reset(v);
	v->accepted = st->accepted;
	v->started = st->started;
	memcpy(v->regs, st->regs, sizeof(v->regs));
	atomic_store(&v->generation, st->generation);
	atomic_store(&v->status, st->status);
	if (st->class_len && (!ops->load || ops->load(v->model.dev, own, st->class_len) < 0))
		s->bad = true;
	if (!s->bad && virtio_started(v)) {
		if (restart_queues(v, st) < 0)
			s->bad = true;
		for (unsigned i = 0; i < v->model.nqueues; i++)
			virtio_kick(v, i);
	}
	if (s->bad)
		virtio_dev_reset(v);
}

void virtio_dev_sync(struct virtio_dev *v, struct devstate *s)
{
	struct state *st = calloc(1, sizeof(*st));

	if (!st)
		s->bad = true;
	else if (s->loading)
		load(v, s, st);
	else
		save(v, s, st);
	free(st);
}
