package webhook

import (
	"testing"
	"time"
)

func TestParseRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		in   string
		want time.Duration
	}{
		{"", 0},
		{"0", 0},
		{"120", 2 * time.Minute},
		{" 5 ", 5 * time.Second},
		{"-5", 0},
		{"1.5", 0},
		{"soon", 0},
		{"99999999999999", maxRetryAfter},
		{"Tue, 24 Nov 2026 12:00:30 GMT", 30 * time.Second},
		{"Tue, 24 Nov 2026 11:00:30 GMT", 0},
		{"Tue, 24 Nov 2099 11:00:30 GMT", maxRetryAfter},
	}
	for _, tt := range tests {
		if got := parseRetryAfter(tt.in, now); got != tt.want {
			t.Errorf("parseRetryAfter(%q) = %v, want %v", tt.in, got, tt.want)
		}
	}
}

func FuzzParseRetryAfter(f *testing.F) {
	f.Add("120")
	f.Add("Tue, 24 Nov 2026 12:00:30 GMT")
	f.Add("9223372036854775807")
	f.Fuzz(func(t *testing.T, s string) {
		got := parseRetryAfter(s, time.Unix(1_800_000_000, 0))
		if got < 0 || got > maxRetryAfter {
			t.Errorf("parseRetryAfter(%q) = %v, want 0 to %v", s, got, maxRetryAfter)
		}
	})
}
