// What the tests of checkpoint/ share.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "longgen/base/files.h"
#include "raw_bytes.h"
#include "tests/unit/error_text.h"
#include "tests/unit/folder_test.h"

namespace longgen {}  // namespace longgen
