// What the tests of eval/ share is what those of report/ do.
#pragma once

#include "tests/unit/report/test_support.h"
