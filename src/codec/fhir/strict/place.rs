//! Where something stands in a document. Kept as the steps that lead there and written as FHIRPath only where it is told,
//! because a document has thousands of places and hardly ever a fault.

use std::fmt::{self, Display};
use std::rc::Rc;

/// A place in a document. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Place(Rc<Step>);

#[derive(Debug)]
enum Step {
    /// The document, or a part of it by its whole path.
    Whole(String),
    Member(Place, &'static str),
    Item(Place, usize),
}

impl Place {
    /// The place of a whole document, or of what is read by itself within one.
    pub fn whole(path: impl Into<String>) -> Self {
        Self(Rc::new(Step::Whole(path.into())))
    }

    /// A member of what stands here, by its name in FHIRPath.
    #[must_use]
    pub fn member(&self, name: &'static str) -> Self {
        Self(Rc::new(Step::Member(self.clone(), name)))
    }

    /// An element of the array that stands here, counted from 0.
    #[must_use]
    pub fn item(&self, index: usize) -> Self {
        Self(Rc::new(Step::Item(self.clone(), index)))
    }
}

impl Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Step::Whole(path) => f.write_str(path),
            Step::Member(of, name) => write!(f, "{of}.{name}"),
            Step::Item(of, index) => write!(f, "{of}[{index}]"),
        }
    }
}
