// The parts of the program. Each writes its own lines and says whether what it checks holds.
#pragma once

// `quick` is for compute-sanitizer, under which everything is many times slower.
bool check_golden();
bool check_random(bool quick);
bool check_streams(bool quick);
bool check_late_copy(bool quick);
void measure_latency();
