// tests/unit/sanitized.h: LONGGEN_TEST_SANITIZED is defined under ASan and TSan, whose own memory
// hides that of a program.
#pragma once

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define LONGGEN_TEST_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define LONGGEN_TEST_SANITIZED 1
#endif
#endif
