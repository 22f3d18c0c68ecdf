/* range.c - locks on ranges of bytes, in the order of asking. */
#include "host/block/range.h"

void range_lock_init(struct range_lock *l)
{
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->changed, NULL);
	l->waiters = 0;
	l->first = NULL;
	l->last = &l->first;
}

void range_lock_fini(struct range_lock *l)
{
	pthread_cond_destroy(&l->changed);
	pthread_mutex_destroy(&l->lock);
}

/* A range before @end in the list that @r has to wait for */
static bool conflict(const struct range_lock *l, const struct range *r, const struct range *end)
{
	for (const struct range *o = l->first; o != end; o = o->next) {
		if ((o->exclusive || r->exclusive) && o->start < r->end && r->start < o->end)
			return true;
	}
	return false;
}

static void append(struct range_lock *l, struct range *r)
{
	r->next = NULL;
	r->link = l->last;
	*l->last = r;
	l->last = &r->next;
	r->held = true;
}

static void fill(struct range *r, uint64_t start, uint64_t end, bool exclusive)
{
	r->start = start;
	r->end = end;
	r->exclusive = exclusive;
}

void range_take(struct range_lock *l, struct range *r, uint64_t start, uint64_t end, bool exclusive)
{
	fill(r, start, end, exclusive);
	pthread_mutex_lock(&l->lock);
	append(l, r);
	while (conflict(l, r, r)) {
		l->waiters++;
		pthread_cond_wait(&l->changed, &l->lock);
		l->waiters--;
	}
	pthread_mutex_unlock(&l->lock);
}

bool range_try(struct range_lock *l, struct range *r, uint64_t start, uint64_t end, bool exclusive)
{
	bool free;

	fill(r, start, end, exclusive);
	pthread_mutex_lock(&l->lock);
	free = !conflict(l, r, NULL);
	if (free)
		append(l, r);
	pthread_mutex_unlock(&l->lock);
	return free;
}

void range_release(struct range_lock *l, struct range *r)
{
	if (!r->held)
		return;
	pthread_mutex_lock(&l->lock);
	*r->link = r->next;
	if (r->next)
		r->next->link = r->link;
	else
		l->last = r->link;
	r->held = false;
	if (l->waiters)
		pthread_cond_broadcast(&l->changed);
	pthread_mutex_unlock(&l->lock);
}
