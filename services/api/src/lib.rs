//! What people and programs ask of what is stored: the model of questions and answers.
//!
//! What must stay true: an answer says from which table it is, how sure each number is, and what is not in it; every value of a question is a
//! bound parameter of its SQL; and no time is averaged over of which data were dropped (docs/counting.md is the law of the numbers).

pub mod query;
