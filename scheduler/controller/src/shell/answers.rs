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

/// Answers that may be told at the same time.
#[derive(Default)]
pub(super) struct Answers {
    /// By where they are waited for.
    homes: Vec<(Handle, Vec<(Sender<Answer>, Answer)>)>,
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
