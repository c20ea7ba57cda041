package sim

// recent is a bounded map that forgets what was put in first. Set limit.
type recent[K comparable, V any] struct {
	limit  int
	values map[K]V
	order  []K
}

func (r *recent[K, V]) get(k K) (V, bool) {
	v, ok := r.values[k]
	return v, ok
}

func (r *recent[K, V]) put(k K, v V) {
	if r.values == nil {
		r.values = make(map[K]V, r.limit)
	}
	if _, ok := r.values[k]; !ok {
		if len(r.order) >= r.limit {
			delete(r.values, r.order[0])
			r.order = append(r.order[:0], r.order[1:]...)
		}
		r.order = append(r.order, k)
	}
	r.values[k] = v
}
