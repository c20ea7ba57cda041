// Package ui holds what every screen of the console is made of: a grid of cells
// to draw on, styles and glyphs, the one table of keys, and figures as text.
//
// A screen draws onto an [Area], which cuts whatever does not fit. So a frame has
// exactly its height in lines and none is wider than its width by construction,
// not by care, and the only control sequences in it are those of the [Theme]. This
// is also what makes a frame cheap: a layout of bordered boxes made of styled
// strings took 3.9 ms and ten thousand allocations at 200×50, the grid takes a
// twentieth of that.
//
// Text comes as safetext.Text. A constant converts by itself, anything else has to
// pass [Say] or safetext.Clean: the compiler keeps the boundary.
//
// [Bindings] is the only place where a key has a meaning. Footer, help, palette
// and the read-only console are derived from it.
package ui
