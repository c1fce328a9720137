package disk

type sums struct{ store *Store }
