/* virtio_dev.c - the life of a virtio device: status, feature negotiation, queues, reset, work on the loop. */
#include "virtio/virtio_dev.h"

#include <errno.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/log.h"

#define TODO_START 1u
#define TODO_RESET 2u
#define RING_FEATURES (VIRTIO_F_VERSION_1 | VIRTIO_F_RING_PACKED | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX)
#define STATUS_KNOWN (VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_DRIVER_OK | VIRTIO_FEATURES_OK | VIRTIO_FAILED)
#define LIVE (VIRTIO_DRIVER_OK | VIRTIO_NEEDS_RESET)

static bool live(const struct virtio_dev *v) { return (atomic_load(&v->status) & LIVE) == VIRTIO_DRIVER_OK; }

/* --- work on the loop's thread --- */

static void post(struct virtio_dev *v) { loop_timer_set(&v->work, 0); }

void virtio_kick(struct virtio_dev *v, unsigned index)
{
	if (index < v->model.nqueues && !atomic_fetch_or(&v->kicked, 1ull << index))
		post(v);
}

static void do_start(struct virtio_dev *v)
{
	if (!live(v))
		return;
	if (v->model.ops->start)
		v->model.ops->start(v->model.dev, v->accepted);
	for (unsigned i = 0; i < v->model.nqueues; i++)
		if (vq_enabled(&v->queues[i]))
			atomic_fetch_or(&v->kicked, 1ull << i);
}

static void do_reset(struct virtio_dev *v)
{
	const struct virtio_ops *ops = v->model.ops;

	if (!ops->reset || ops->reset(v->model.dev) != -EINPROGRESS)
		virtio_reset_done(v);
}

static void on_work(void *ctx)
{
	struct virtio_dev *v = ctx;
	unsigned todo = atomic_exchange(&v->todo, 0);
	uint64_t kicked;

	if (todo & TODO_RESET)
		do_reset(v);
	if (todo & TODO_START)
		do_start(v);
	kicked = atomic_exchange(&v->kicked, 0);
	for (unsigned i = 0; kicked; i++, kicked >>= 1) {
		if (!(kicked & 1) || !live(v) || !vq_enabled(&v->queues[i]))
			continue;
		vq_refill_budget(&v->queues[i]);
		v->model.ops->queue(v->model.dev, i);
	}
}

/* --- features --- */

uint32_t virtio_features_offered(struct virtio_dev *v, uint32_t sel)
{
	return sel < 2 ? (uint32_t)(v->offered >> 32 * sel) : 0;
}

uint32_t virtio_features_accepted(struct virtio_dev *v, uint32_t sel)
{
	uint64_t f;

	pthread_mutex_lock(&v->lock);
	f = v->accepted;
	pthread_mutex_unlock(&v->lock);
	return sel < 2 ? (uint32_t)(f >> 32 * sel) : 0;
}

void virtio_features_accept(struct virtio_dev *v, uint32_t sel, uint32_t bits)
{
	pthread_mutex_lock(&v->lock);
	if (sel < 2 && !(atomic_load(&v->status) & VIRTIO_FEATURES_OK) && !v->resetting) {
		v->accepted &= ~(0xffffffffull << 32 * sel);
		v->accepted |= (uint64_t)bits << 32 * sel;
	}
	pthread_mutex_unlock(&v->lock);
}

uint64_t virtio_features(const struct virtio_dev *v)
{
	/* constant while FEATURES_OK is set */
	return atomic_load(&v->status) & VIRTIO_FEATURES_OK ? v->accepted : 0;
}

bool virtio_started(const struct virtio_dev *v) { return live(v); }

/* --- queues --- */

static void queue_start(struct virtio_dev *v, unsigned i, const char **broken)
{
	const struct virtio_queue_regs *r = &v->regs[i];
	struct vq_setup set = {
		.desc = r->desc, .driver = r->driver, .device = r->device, .size = r->size,
		.packed = v->accepted & VIRTIO_F_RING_PACKED,
		.event_idx = v->accepted & VIRTIO_F_EVENT_IDX,
		.indirect = v->accepted & VIRTIO_F_INDIRECT_DESC,
	};

	if (vq_start(&v->queues[i], &set) < 0)
		*broken = "a queue that does not lie in memory";
}

static void queues_stop(struct virtio_dev *v)
{
	for (unsigned i = 0; i < v->model.nqueues; i++)
		vq_stop(&v->queues[i]);
}

struct virtq *virtio_queue(struct virtio_dev *v, unsigned index) { return &v->queues[index]; }

void virtio_queue_regs_get(struct virtio_dev *v, unsigned index, struct virtio_queue_regs *out)
{
	pthread_mutex_lock(&v->lock);
	*out = v->regs[index];
	pthread_mutex_unlock(&v->lock);
}

void virtio_queue_regs_set(struct virtio_dev *v, unsigned index, const struct virtio_queue_regs *set)
{
	const char *broken = NULL;

	pthread_mutex_lock(&v->lock);
	if (!v->regs[index].enable && !v->resetting) {
		v->regs[index] = *set;
		if (set->enable && live(v)) { /* late, but nothing forbids it */
			queue_start(v, index, &broken);
			virtio_kick(v, index);
		}
	}
	pthread_mutex_unlock(&v->lock);
	if (broken)
		virtio_broken(v, broken);
}

static void queue_broken(void *ctx, struct virtq *q, const char *why) { virtio_broken(ctx, why); }

static void queue_interrupt(void *ctx, struct virtq *q)
{
	struct virtio_dev *v = ctx;

	v->transport.queue_irq(v->transport.ctx, q->index);
}

static void queue_again(void *ctx, struct virtq *q) { virtio_kick(ctx, q->index); }

/* --- status --- */

uint8_t virtio_status_read(struct virtio_dev *v)
{
	uint8_t s;

	pthread_mutex_lock(&v->lock);
	s = atomic_load(&v->status);
	if (v->resetting && !s)
		s = VIRTIO_ACKNOWLEDGE; /* not 0 until the reset is over */
	pthread_mutex_unlock(&v->lock);
	return s;
}

/* Lock held */
static void clear(struct virtio_dev *v)
{
	v->resetting = v->started = false;
	v->accepted = 0;
	for (unsigned i = 0; i < v->model.nqueues; i++)
		v->regs[i] = (struct virtio_queue_regs){ .size = v->model.queue_size };
	atomic_store(&v->status, 0);
	v->transport.reset(v->transport.ctx);
}

static void reset_begin(struct virtio_dev *v)
{
	if (v->resetting)
		return;
	queues_stop(v);
	atomic_fetch_and(&v->todo, ~TODO_START);
	if (!v->started) {
		clear(v);
		return;
	}
	v->resetting = true;
	atomic_fetch_or(&v->todo, TODO_RESET);
	post(v);
}

void virtio_reset_done(struct virtio_dev *v)
{
	pthread_mutex_lock(&v->lock);
	if (v->resetting)
		clear(v);
	pthread_mutex_unlock(&v->lock);
}

/* Features that were not offered, or a driver of before 1.0: FEATURES_OK stays clear (2.2.2, 6.2) */
static bool features_ok(const struct virtio_dev *v)
{
	return !(v->accepted & ~v->offered) && v->accepted & VIRTIO_F_VERSION_1;
}

static void driver_ok(struct virtio_dev *v, const char **broken)
{
	for (unsigned i = 0; i < v->model.nqueues; i++)
		if (v->regs[i].enable)
			queue_start(v, i, broken);
	v->started = true;
	atomic_fetch_or(&v->todo, TODO_START);
	post(v);
}

void virtio_status_write(struct virtio_dev *v, uint8_t val)
{
	const char *broken = NULL;
	uint8_t old, new;

	pthread_mutex_lock(&v->lock);
	old = atomic_load(&v->status);
	new = val & STATUS_KNOWN & ~old; /* a driver sets bits; only 0 clears them (2.1.1) */
	if (!val) {
		reset_begin(v);
	} else if (!v->resetting) {
		if (new & VIRTIO_FEATURES_OK && !features_ok(v))
			new &= (uint8_t)~VIRTIO_FEATURES_OK;
		if (new & VIRTIO_DRIVER_OK && !((old | new) & VIRTIO_FEATURES_OK))
			new &= (uint8_t)~VIRTIO_DRIVER_OK;
		atomic_store(&v->status, old | new);
		if (new & VIRTIO_DRIVER_OK && !(old & VIRTIO_NEEDS_RESET))
			driver_ok(v, &broken);
	}
	pthread_mutex_unlock(&v->lock);
	if (broken)
		virtio_broken(v, broken);
}

void virtio_broken(struct virtio_dev *v, const char *why)
{
	bool tell = false, first = false;

	pthread_mutex_lock(&v->lock);
	if (!v->resetting && atomic_load(&v->status) && !(atomic_load(&v->status) & VIRTIO_NEEDS_RESET)) {
		first = true;
		tell = atomic_fetch_or(&v->status, VIRTIO_NEEDS_RESET) & VIRTIO_DRIVER_OK;
		queues_stop(v);
	}
	pthread_mutex_unlock(&v->lock);
	if (first)
		log_limited(&v->log, LOG_WARN, "%s: the guest's driver gave %s; the device needs a reset",
			    v->model.ops->name, why);
	if (tell) /* 2.1.2 */
		v->transport.config_irq(v->transport.ctx);
}

/* --- device configuration space --- */

void virtio_config_changed(struct virtio_dev *v)
{
	atomic_fetch_add(&v->generation, 1);
	if (live(v))
		v->transport.config_irq(v->transport.ctx);
}

/* How much of [off, off+len) there is */
static unsigned config_part(const struct virtio_dev *v, uint64_t off, unsigned len)
{
	if (off >= v->model.config_len)
		return 0;
	return len < v->model.config_len - off ? len : (unsigned)(v->model.config_len - off);
}

void virtio_config_read(struct virtio_dev *v, uint64_t off, void *buf, unsigned len)
{
	unsigned n = config_part(v, off, len);

	memset(buf, 0, len);
	if (n && v->model.ops->config_read)
		v->model.ops->config_read(v->model.dev, (unsigned)off, buf, n);
}

void virtio_config_write(struct virtio_dev *v, uint64_t off, const void *buf, unsigned len)
{
	unsigned n = config_part(v, off, len);
	bool now;

	pthread_mutex_lock(&v->lock);
	now = !v->resetting;
	if (now && n)
		v->started = true; /* the class may remember something: its reset is wanted */
	pthread_mutex_unlock(&v->lock);
	if (now && n && v->model.ops->config_write)
		v->model.ops->config_write(v->model.dev, (unsigned)off, buf, n);
}

/* --- life --- */

int virtio_dev_create(const struct virtio_dev_config *cfg, const struct virtio_model *model, struct virtio_dev **out,
		      struct err *e)
{
	struct virtio_dev *v;
	struct vq_callbacks cb = { queue_broken, queue_interrupt, queue_again, NULL };

	if (!model->nqueues || model->nqueues > VIRTIO_QUEUES_MAX || model->queue_size > VQ_SIZE_MAX)
		return err_set(e, -EINVAL, "%s: a device cannot have %u queues of %u entries", model->ops->name,
			       model->nqueues, model->queue_size);
	v = calloc(1, sizeof(*v));
	if (!v)
		return err_set(e, -ENOMEM, "%s: out of memory", model->ops->name);
	v->model = *model;
	v->mem = cfg->mem;
	v->loop = cfg->loop;
	v->transport = cfg->transport;
	v->offered = (model->features | RING_FEATURES) & ~cfg->withheld;
	pthread_mutex_init(&v->lock, NULL);
	loop_timer_init(&v->work, cfg->loop, on_work, v);
	cb.ctx = v;
	for (unsigned i = 0; i < model->nqueues; i++) {
		vq_init(&v->queues[i], cfg->mem, i, &cb);
		v->regs[i].size = model->queue_size;
	}
	if (model->ops->attach)
		model->ops->attach(model->dev, v);
	*out = v;
	return 0;
}

static void class_drain(struct virtio_dev *v)
{
	if (v->model.ops->drain)
		v->model.ops->drain(v->model.dev);
}

void virtio_dev_drain(struct virtio_dev *v)
{
	if (atomic_load(&v->todo))
		on_work(v);
	class_drain(v);
	virtio_reset_done(v); /* where the class wanted to call it */
}

void virtio_dev_reset(struct virtio_dev *v)
{
	class_drain(v);
	queues_stop(v);
	loop_timer_set(&v->work, UINT64_MAX);
	atomic_store(&v->todo, 0);
	atomic_store(&v->kicked, 0);
	if (v->started && v->model.ops->reset)
		v->model.ops->reset(v->model.dev);
	pthread_mutex_lock(&v->lock);
	clear(v);
	pthread_mutex_unlock(&v->lock);
}

void virtio_dev_destroy(struct virtio_dev *v)
{
	if (!v)
		return;
	class_drain(v);
	queues_stop(v);
	loop_timer_fini(&v->work);
	if (v->model.ops->destroy)
		v->model.ops->destroy(v->model.dev);
	for (unsigned i = 0; i < v->model.nqueues; i++)
		vq_fini(&v->queues[i]);
	pthread_mutex_destroy(&v->lock);
	free(v);
}
