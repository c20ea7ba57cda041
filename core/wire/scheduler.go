package wire

// Scheduler answers [PathScheduler] and the calls that change it.
type Scheduler struct {
	OK        bool              `json:"ok"`
	Enabled   bool              `json:"enabled"` // the answering instance may lead
	Paused    bool              `json:"paused"`  // fleet-wide
	By        string            `json:"by,omitempty"`
	Reason    string            `json:"reason,omitempty"`
	ChangedAt *int64            `json:"changedAt"` // ms
	Version   int64             `json:"version"`
	Leader    LeaderState       `json:"leader"`
	Members   []SchedulerMember `json:"members"`
}

// LeaderState is who leads; Holder is empty when nobody does.
type LeaderState struct {
	Holder           string `json:"holder"`
	Epoch            int64  `json:"epoch"`
	LeaseRemainingMS int64  `json:"leaseRemainingMs"`
}

// SchedulerMember is one instance in the registry.
type SchedulerMember struct {
	ID    string `json:"id"`
	Phase string `json:"phase"`
	Alive bool   `json:"alive"`
	AgeMS int64  `json:"ageMs"` // since its newest heartbeat
}

// SchedulerChange is the body of [PathSchedulerPause], [PathSchedulerResume] and
// [PathSchedulerResign].
type SchedulerChange struct {
	Reason string `json:"reason,omitempty"`
	// Version is what the switches are expected to have; 0 for any. Epoch is the same
	// for resigning.
	Version int64 `json:"version,omitempty"`
	Epoch   int64 `json:"epoch,omitempty"`
}

// SchedulerResigned answers [PathSchedulerResign]: who was asked.
type SchedulerResigned struct {
	OK     bool   `json:"ok"`
	Holder string `json:"holder"`
	Epoch  int64  `json:"epoch"`
}

// Lock answers [PathLock] and is what "spark-daemon lock show --json" prints.
type Lock struct {
	OK               bool     `json:"ok"`
	Key              string   `json:"key"`
	State            string   `json:"state"` // free held dead-holder immortal foreign wrong-type zombie amnesia
	Sentence         string   `json:"sentence"`
	Command          string   `json:"command,omitempty"` // the safe one
	Holder           string   `json:"holder"`
	Epoch            int64    `json:"epoch"`            // 0 when the value is not of the newest term
	LeaseRemainingMS int64    `json:"leaseRemainingMs"` // -1 for ever
	HolderAlive      bool     `json:"holderAlive"`
	HolderAgeMS      *int64   `json:"holderAgeMs"` // since the holder was heard of; null when never
	Since            *int64   `json:"since"`       // ms, start of the newest term
	TermState        string   `json:"termState,omitempty"`
	TermHolder       string   `json:"termHolder,omitempty"`
	TermEpoch        int64    `json:"termEpoch,omitempty"`
	Paused           bool     `json:"paused"`
	Warnings         []string `json:"warnings,omitempty"`
}

// LockChanged is the answer of a reset that was refused, and of one that was done.
type LockChanged struct {
	OK     bool   `json:"ok"`
	Holder string `json:"holder"` // who held it, or holds it
	Epoch  int64  `json:"epoch"`
}
