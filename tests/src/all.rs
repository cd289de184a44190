//! What holds for the whole of Squall: one test program, one module for each concern.

mod rules;
