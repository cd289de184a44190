//! What holds for the whole of Squall: one test program, one module for each concern.

mod adoption;
mod associations;
mod bad_input;
mod crash;
mod crontab;
mod demo;
mod login;
mod mail;
mod personal;
mod readiness;
mod rules;
mod stage;
mod trace;
mod twin;
mod visits;
