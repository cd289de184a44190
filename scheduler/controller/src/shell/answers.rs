//! How answers get back to those who asked.

use squall_engine::Answer;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::oneshot::{self, Receiver, Sender};

/// Somebody who waits for an answer.
pub(super) struct Asker {
    answer: Sender<Answer>,
    /// Where that is a runtime of one thread.
    home: Option<Handle>,
}

impl Asker {
    /// To be called where the answer is waited for.
    pub fn new() -> (Asker, Receiver<Answer>) {
        let (answer, answered) = oneshot::channel();
        let home = Handle::try_current().ok().filter(|home| home.runtime_flavor() == RuntimeFlavor::CurrentThread);
        (Asker { answer, home }, answered)
    }
}

type Kept = Vec<(Sender<Answer>, Answer)>;

/// Answers that may be told at the same time.
#[derive(Default)]
pub(super) struct Answers {
    /// By where they are waited for.
    homes: Vec<(Handle, Kept)>,
}

impl Answers {
    /// Tells it, or keeps it for [`Answers::tell`].
    pub fn add(&mut self, asker: Asker, answer: Answer) {
        let Some(home) = asker.home else { return tell(asker.answer, answer) };
        match self.homes.iter_mut().find(|(known, _)| known.id() == home.id()) {
            Some((_, answers)) => answers.push((asker.answer, answer)),
            None => self.homes.push((home, vec![(asker.answer, answer)])),
        }
    }

    /// A thread is woken once for all that it waits for; told one by one, it would be woken for each.
    pub fn tell(self) {
        for (home, answers) in self.homes {
            let told = async move { answers.into_iter().for_each(|(asker, answer)| tell(asker, answer)) };
            drop(home.spawn(told));
        }
    }
}

/// Whoever asked may have gone; what was asked is done all the same.
fn tell(asker: Sender<Answer>, answer: Answer) {
    drop(asker.send(answer));
}

#[cfg(test)]
mod tests {
    use super::*;
    use squall_core::Reply;
    use std::thread::spawn;
    use tokio::runtime::Builder;

    fn done() -> Answer {
        Answer::Done(Reply::Done)
    }

    /// Whoever waits on a thread of its own, on the workers of a runtime, or is gone.
    #[test]
    fn each_hears_its_answer_wherever_it_waits() {
        let runtimes = [Builder::new_current_thread(), Builder::new_current_thread(), Builder::new_multi_thread()];
        let (ask, asked) = std::sync::mpsc::channel();
        let waiting: Vec<_> = runtimes
            .into_iter()
            .map(|mut runtime| {
                let ask = ask.clone();
                spawn(move || {
                    runtime.build().unwrap().block_on(async {
                        let mut answers = Vec::new();
                        for _ in 0..3 {
                            let (asker, answered) = Asker::new();
                            ask.send(asker).unwrap();
                            answers.push(answered);
                        }
                        drop(answers.pop());
                        for answered in answers {
                            assert!(matches!(answered.await, Ok(Answer::Done(Reply::Done))));
                        }
                    });
                })
            })
            .collect();
        let mut answers = Answers::default();
        asked.iter().take(9).for_each(|asker| answers.add(asker, done()));
        assert_eq!(answers.homes.iter().map(|(_, kept)| kept.len()).collect::<Vec<_>>(), [3, 3]);
        answers.tell();
        waiting.into_iter().for_each(|waiting| waiting.join().unwrap());
    }
}
