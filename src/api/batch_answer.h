#ifndef CARILLON_API_BATCH_ANSWER_H
#define CARILLON_API_BATCH_ANSWER_H

struct car_posting;

/*
 * Answers a batch that is in the log with all of its events: at once where they are small, else in turns of its
 * tenant's flow, each of which copies some of them. Until it is answered the request counts as one that is being
 * published, so that the server does not end before, and the answer as memory that the tenant uses. Takes the posting
 * over. On its worker's thread.
 */
void car_batch_answer(struct car_posting *posting);

#endif
