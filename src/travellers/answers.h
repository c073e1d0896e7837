// The traveller's end of the queue of answers.
#pragma once

extern "C" {
#include "postgres.h"
}

namespace strata::travellers {

// Attaches to the queue of a channel. From here to close_answers(), errors and notices of this process go to the
// session.
void open_answers(char* queue);
void close_answers();

// Sends a message whose first byte is its kind; `more` is a second part of it. False where the session wants no more.
bool send_answer(const char* message, Size bytes, const char* more, Size more_bytes, bool at_once);

}  // namespace strata::travellers
