// Package observe watches the fleet and judges it: it scrapes every instance, keeps
// the samples of the whole run, answers PromQL, carries out the hypercare plan and
// keeps the journal.
//
//	scrape → samples → query → verdict → checkpoint → journal → event stream
//
// [Observer] is that way, one turn each 15 s: the scraper (package scrape) writes a
// round to the store (package sample), the driver moves the machine of core/plan on,
// and the machine's effects come back as records (package journal), as evaluations to
// be answered by queries or by probes (package probe), and as calls for people.
//
// # Truth
//
// [Driver] makes a record safe before anybody hears of what it says; what a person
// does is answered after it is safe. When the journal cannot be written the driver
// ends: the machine is then ahead of what is recorded, and only a restart, which
// replays the journal, makes them one again. The time between is recorded as a gap.
//
// The same driver, asker and desk carry a rehearsal (package rehearse), where time is
// virtual and everything happens in one goroutine, and [WhatIf], which lives through a
// recorded run again with another plan.
package observe
